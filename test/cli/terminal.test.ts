import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { type KeyPairFiles, rsaKeys, succeed } from "../support/cli.ts";
import { diffId, tar } from "../support/images.ts";
import { putManifest, tagRoot } from "../support/layouts.ts";
import { describeWith, ours, run, script } from "../support/peers.ts";
import { TestRegistry } from "../support/registry.ts";
import { temporaryFolder } from "../support/temporary.ts";

const folder = temporaryFolder();
const plain = join(folder, "plain");
const encrypted = join(folder, "encrypted");
let keys: KeyPairFiles;
let count = 0;

beforeAll(async () => {
  keys = await rsaKeys(join(folder, "keys"), "node");
  const layers = [1, 30_000_000].map(async (size) => {
    const bytes = await tar({ file: Buffer.alloc(size) });
    return { bytes, compression: "none", diffId: diffId(bytes) } as const;
  });
  tagRoot(plain, putManifest(plain, await Promise.all(layers)));
  await succeed([
    "encrypt",
    "-q",
    "--recipient",
    `jwe:${keys.publicKey}`,
    `oci:${plain}`,
    `oci:${encrypted}:v1`,
  ]);
});

/** What a command writes to a terminal of so many columns. */
async function onTerminal(
  columns: number,
  args: readonly string[],
  environment: NodeJS.ProcessEnv = {},
): Promise<string> {
  const line = [ours.command, ...args].map((word) => `'${word}'`).join(" ");
  const env = { PATH: process.env["PATH"], TMPDIR: process.env["TMPDIR"], TERM: "xterm", ...environment };
  const { stdout } = await run(script, ["-qec", `stty cols ${columns} rows 24; exec ${line}`, "/dev/null"], {
    env,
  });
  return stdout.toString();
}

const ESCAPE = "\u001b";
const COLOUR = new RegExp(`${ESCAPE}\\[\\d+m`, "g");
const CLEAR_LINE = `\r${ESCAPE}[K`;

/** The visible text: the last state of each line. */
function screen(output: string): string[] {
  return output
    .replace(COLOUR, "")
    .split("\r\n")
    .map((line) => line.split(CLEAR_LINE).at(-1) ?? "");
}

const decrypt = () => [
  "decrypt",
  "--key",
  keys.privateKey,
  `oci:${encrypted}`,
  `oci:${folder}/${count++}:v1`,
];

describeWith([ours, script], "on a terminal", {}, () => {
  test.each([40, 80, 200])(
    "of %i columns a bar shows how far the work is, and goes away",
    async (columns) => {
      const output = await onTerminal(columns, decrypt());
      const drawn = output.replace(COLOUR, "").replaceAll(CLEAR_LINE, "\r\n").split("\r\n");
      const bars = drawn.filter((line) => line.startsWith("decrypting  "));
      expect(bars.length).toBeGreaterThan(0);
      expect(bars.every((line) => line.length < columns)).toBe(true);
      if (columns >= 80)
        expect(bars.at(-1)).toMatch(/^decrypting {2}\[#*\.*\] {2}[\d.]+ \S+ of 28\.6 MiB {2}[\d.]+ \S+/);
      const seen = screen(output);
      expect(seen.filter((line) => line.startsWith("✓"))).toHaveLength(2);
      expect(seen.join("\n")).not.toContain("decrypting");
      expect(seen.filter((line) => line.startsWith("decrypted 2 layers into "))).toHaveLength(1);
    },
  );

  test("tables fit in 80 columns, and wide ones show digests in full", async () => {
    const [narrow, wide] = [
      await onTerminal(80, ["inspect", `oci:${encrypted}`]),
      await onTerminal(200, ["inspect", `oci:${encrypted}`]),
    ];
    const [, , , ...table] = screen(narrow);
    expect(Math.max(...table.map((line) => line.length))).toBeLessThanOrEqual(80);
    expect(narrow.match(/sha256:[0-9a-f]{64}/g)).toHaveLength(1);
    expect(wide.match(/sha256:[0-9a-f]{64}/g)).toHaveLength(4);
  });

  test.each([
    ["as a rule", {}, true],
    ["not with NO_COLOR", { NO_COLOR: "1" }, false],
    ["not on a dumb terminal", { TERM: "dumb" }, false],
  ])("there are colours %s", async (_, environment, isColoured) => {
    const output = await onTerminal(
      80,
      ["inspect", "--key", keys.privateKey, `oci:${encrypted}`],
      environment,
    );
    expect(output.search(COLOUR) >= 0).toBe(isColoured);
  });

  test("an error replaces the progress bar", async () => {
    const bad = await rsaKeys(join(folder, "keys"), "bad");
    const args = ["verify", "--key", bad.privateKey, `oci:${encrypted}`];
    const seen = screen(await onTerminal(80, args));
    expect(seen.filter((line) => line.startsWith("verifying"))).toEqual([]);
    expect(seen.filter((line) => line.startsWith("ctd-decoder: error: "))).toHaveLength(1);
  });

  test("a registry's warning replaces the progress bar", async () => {
    const registry = await TestRegistry.start();
    registry.intercept = ({ method }, response) => {
      if (method === "PATCH") response.setHeader("Warning", '299 - "soon"');
      return false;
    };
    try {
      const args = ["rewrap", "-r", `jwe:${keys.publicKey}`, "--key", keys.privateKey, `oci:${encrypted}`];
      const seen = screen(await onTerminal(80, [...args, `docker://${registry.host}/app:v1`]));
      expect(seen).toContain("ctd-decoder: note: soon");
    } finally {
      await registry.stop();
    }
  });

  test("a call of the decoder explains itself and lists the commands", async () => {
    const usage =
      /^ctd-decoder: error: [^\n]* for containerd, [^\n]*\r\nctd-decoder: hint: [^\n]*encrypt, inspect, [^\n]*ctd-decoder --help\r\n$/;
    expect(await onTerminal(80, ["--decryption-keys-path", join(folder, "keys")])).toMatch(usage);
  });

  test("a bare call shows the help", async () => {
    expect(await onTerminal(80, [])).toBe(await onTerminal(80, ["--help"]));
    expect(await onTerminal(80, [])).toMatch(/^Decrypts encrypted layers/);
  });

  test.each([40, 80])("of %i columns an error is in colour, and no word is cut", async (columns) => {
    const output = await onTerminal(columns, ["encrypt", "--recipent", "jwe:x", "oci:a", "oci:b"]);
    expect(output.startsWith(`ctd-decoder: ${ESCAPE}[31merror${ESCAPE}[39m: `)).toBe(true);
    const lines = output.replace(COLOUR, "").trimEnd().split("\r\n");
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(columns);
    expect(lines.map((line) => line.trim()).join(" ")).toBe(
      "ctd-decoder: error: unknown option --recipent (did you mean --recipient?) ctd-decoder: hint: usage: ctd-decoder encrypt [OPTIONS] SOURCE DEST; see ctd-decoder encrypt --help",
    );
  });

  test.each([
    ["layer", () => ["layer", "--key", keys.privateKey, `oci:${encrypted}`]],
    ["archive", () => ["decrypt", "--key", keys.privateKey, `oci:${encrypted}`, "-"]],
  ])("no %s is written to it", async (_, args) => {
    const output = (await onTerminal(80, args())).replace(COLOUR, "");
    expect(output).toMatch(
      /^ctd-decoder: error: refusing to write an? .* to a terminal\r\nctd-decoder: hint: /,
    );
  });
});
