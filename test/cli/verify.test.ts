import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import type { IndexEntry } from "../../src/spec/manifest.ts";
import { command, rsaKeys, succeed } from "../support/cli.ts";
import { blobPath, diffId, tar } from "../support/images.ts";
import { copyLayout, putIndex, putManifest, readDocument, rootOf, tagRoot } from "../support/layouts.ts";
import { describeWith, ours } from "../support/peers.ts";
import { temporaryFolder } from "../support/temporary.ts";

const folder = temporaryFolder();
const cwd = folder;

beforeAll(async () => {
  await rsaKeys(folder, "node");
  for (const name of ["one", "two"])
    await succeed(["keygen", "-q", "--format", "jwk", `${name}.jwk`], { cwd });
  const kid = async (name: string) => {
    await succeed(["encrypt", "-q", "-r", `jwe:${name}.jwk.pub`, "oci:plain", `oci:${name}`], { cwd });
    const { platforms } = JSON.parse(await succeed(["inspect", "--json", `oci:${name}`], { cwd }));
    return platforms[0].layers[0].encryption.packets[0].recipients[0].id as string;
  };
  const layers = ["a", "b"].map(async (text) => {
    const bytes = await tar({ file: Buffer.from(text) });
    return { bytes, compression: "none", diffId: diffId(bytes) } as const;
  });
  mkdirSync(join(folder, "plain"));
  tagRoot(join(folder, "plain"), putManifest(join(folder, "plain"), await Promise.all(layers)));
  const [one, two] = [await kid("one"), await kid("two")];
  const both = ["-r", "jwe:one.jwk.pub", "-r", "jwe:two.jwk.pub"];
  await succeed(["encrypt", "-q", ...both, "oci:plain", "oci:both"], { cwd });
  await succeed(["encrypt", "-q", ...both, "-l", "1", "oci:plain", "oci:half"], { cwd });
  await succeed(["encrypt", "-q", ...both, "oci:plain", "oci:tagged:v1"], { cwd });
  await succeed(["encrypt", "-q", "--anonymous", ...both, "oci:plain", "oci:unnamed"], { cwd });
  writeFileSync(join(folder, "one.txt"), `# the node\njwe:${one}\n`);
  writeFileSync(join(folder, "both.txt"), `jwe:${one}\n\n  jwe:${two}  \n`);
  const printed = (await succeed(["inspect", "oci:both"], { cwd })).match(/^ +jwe: .+$/gm) ?? [];
  writeFileSync(join(folder, "printed.txt"), printed.join("\n"));
  writeFileSync(join(folder, "none.txt"), "# nobody\n\n");
  writeFileSync(join(folder, "file.txt"), "jwe:one.jwk.pub\n");
  // A file may happen to have the name of an id.
  writeFileSync(join(folder, one), "");
  writeFileSync(join(folder, "other.txt"), "password: secret\n");
  writeFileSync(join(folder, "bare.txt"), "# one\njwe:other\nsecret\n");
  writeFileSync(join(folder, "unnamed.txt"), "jwe:(unnamed)\n");
  writeFileSync(join(folder, "unnamed2.txt"), "jwe:(unnamed)\n".repeat(2));
  putVariants();
});

/** Images with the layers of oci:tagged, or without any. */
function putVariants(): void {
  const variant = (
    name: string,
    make: (path: string, manifest: IndexEntry, layers: object[]) => IndexEntry,
  ) => {
    const path = copyLayout(join(folder, "tagged"), join(folder, name));
    const root = rootOf(path);
    const { layers } = readDocument(path, root);
    tagRoot(path, make(path, { ...root, platform: { os: "linux", architecture: "amd64" } }, layers));
  };
  const changed =
    (change: (annotations: Record<string, string>) => object) =>
    (path: string, _root: IndexEntry, layers: object[]) =>
      putManifest(path, [], {
        manifest: {
          layers: layers.map((layer) => ({
            ...layer,
            annotations: change((layer as { annotations: Record<string, string> }).annotations),
          })),
        },
      });
  const KEYS = "org.opencontainers.image.enc.keys.";
  variant(
    "no-annotations",
    changed(() => ({})),
  );
  variant(
    "no-keys",
    changed(({ [`${KEYS}jwe`]: _, ...rest }) => rest),
  );
  variant(
    "bad-keys",
    changed((annotations) => ({ ...annotations, [`${KEYS}jwe`]: "e30=" })),
  );
  variant("layerless", (path) => putManifest(path, []));
  variant("imageless", (path) => putIndex(path, []));
  const lacking = (entry: object) => (path: string, root: IndexEntry) => {
    const other = putManifest(path, [], { entry });
    rmSync(blobPath(path, other.digest));
    return putIndex(path, [root, other]);
  };
  const platform = { os: "linux", architecture: "arm64" };
  const marked = { annotations: { "vnd.docker.reference.type": "attestation-manifest" } };
  const [plainLayer] = readDocument(join(folder, "plain"), rootOf(join(folder, "plain"))).layers;
  variant("lacking", lacking({ platform }));
  variant("lacking-marked", lacking({ platform, ...marked }));
  variant("unattested", lacking({ platform: { os: "unknown", architecture: "unknown" }, ...marked }));
  variant("disguised", (path, root) => {
    const other = putManifest(path, [], { platform, entry: marked, manifest: { layers: [plainLayer] } });
    return putIndex(path, [root, other]);
  });
}

interface Case {
  readonly args: readonly string[];
  readonly exit: number;
  readonly stdout: RegExp;
  readonly stderr: RegExp;
}

const GOOD = /^verify: 2 layers, .* all complete and unchanged since they were encrypted\n$/;
const ONE = ["--require-recipient", "jwe:one.jwk.pub"];
const TWO = ["--require-recipient", "jwe:two.jwk.pub"];
const PROGRESS = /^(?:linux\/amd64 layer \d verified.*\n)*$/;
const error = (text: string) =>
  new RegExp(`^(?:linux/amd64 layer \\d verified.*\\n)*ctd-decoder: error: ${text}`);

const CASES: readonly Case[] = [
  { args: ["oci:both"], exit: 0, stdout: GOOD, stderr: PROGRESS },
  { args: ["-q", "oci:both"], exit: 0, stdout: /^sha256:[0-9a-f]{64}\n$/, stderr: /^$/ },
  { args: ["--require-encrypted", "oci:both"], exit: 0, stdout: GOOD, stderr: PROGRESS },
  {
    args: ["oci:half"],
    exit: 0,
    stdout: /^not encrypted: linux\/amd64 layer 0\nverify: 1 layer, /,
    stderr: PROGRESS,
  },
  {
    args: ["--require-encrypted", "oci:half"],
    exit: 1,
    stdout: /^not encrypted: linux\/amd64 layer 0\n/,
    stderr: error("not encrypted: linux/amd64 layer 0\\n$"),
  },
  {
    args: ["--require-encrypted", "-l", "1", "oci:half"],
    exit: 0,
    stdout: /^verify: 1 layer, /,
    stderr: PROGRESS,
  },
  { args: ["--require-recipients", "both.txt", "oci:both"], exit: 0, stdout: GOOD, stderr: PROGRESS },
  { args: ["--require-recipients", "one.txt", "oci:one"], exit: 0, stdout: GOOD, stderr: PROGRESS },
  { args: ["--require-recipients", "printed.txt", "oci:both"], exit: 0, stdout: GOOD, stderr: PROGRESS },
  { args: [...ONE, ...TWO, "oci:both"], exit: 0, stdout: GOOD, stderr: PROGRESS },
  { args: ["--require-recipients", "one.txt", ...TWO, "oci:both"], exit: 0, stdout: GOOD, stderr: PROGRESS },
  {
    args: [...ONE, "oci:both"],
    exit: 1,
    stdout: GOOD,
    stderr: error("linux/amd64 layer 0 is also encrypted for jwe:"),
  },
  {
    args: [...ONE, ...TWO, "oci:one"],
    exit: 1,
    stdout: GOOD,
    stderr: error("linux/amd64 layer 0 is not encrypted for jwe:two\\.jwk\\.pub\\n"),
  },
  {
    args: ["--require-recipient", "one.jwk.pub", "oci:one"],
    exit: 2,
    stdout: /^$/,
    stderr: /^ctd-decoder: error: "one\.jwk\.pub" is not a recipient\n/,
  },
  {
    args: ["--require-recipients", "one.txt", "oci:both"],
    exit: 1,
    stdout: GOOD,
    stderr: error("linux/amd64 layer 0 is also encrypted for jwe:"),
  },
  {
    args: ["--require-recipients", "both.txt", "oci:one"],
    exit: 1,
    stdout: GOOD,
    stderr: error(
      "linux/amd64 layer 0 is not encrypted for jwe:.+\\nctd-decoder: hint: it is encrypted for jwe:",
    ),
  },
  {
    args: ["--require-recipients", "none.txt", "oci:one"],
    exit: 1,
    stdout: /^$/,
    stderr: /^ctd-decoder: error: none\.txt names no recipient\nctd-decoder: hint: .*inspect shows them\n$/,
  },
  {
    args: ["--require-recipients", "bare.txt", "oci:one"],
    exit: 1,
    stdout: /^$/,
    stderr:
      /^ctd-decoder: error: line 3 of bare\.txt names a recipient without a scheme\nctd-decoder: hint: write jwe:KID .*\n$/,
  },
  {
    args: ["--require-recipients", "other.txt", "oci:one"],
    exit: 1,
    stdout: /^$/,
    stderr: /^ctd-decoder: error: line 1 of other\.txt names a recipient without a scheme\n.*\n$/,
  },
  {
    args: ["--require-recipients", "file.txt", "oci:one"],
    exit: 1,
    stdout: GOOD,
    stderr: error(
      "linux/amd64 layer 0 is not encrypted for jwe:one\\.jwk\\.pub\n.*hint: .* --require-recipient jwe:one\\.jwk\\.pub\n$",
    ),
  },
  {
    args: ["--require-recipients", "absent.txt", "oci:one"],
    exit: 1,
    stdout: /^$/,
    stderr: /^ctd-decoder: error: can't read absent\.txt: /,
  },
];

describeWith([ours], "verify", {}, () => {
  test.each(CASES)("$args: exit code $exit", async ({ args, exit, stdout, stderr }) => {
    const result = await command(["verify", "-k", "one.jwk", "-k", "two.jwk", ...args], { cwd });
    expect({ ...result, stdout: result.stdout.toString() }).toEqual({
      exit,
      signal: null,
      stdout: expect.stringMatching(stdout),
      stderr: expect.stringMatching(stderr),
    });
  });

  const LAYERS = /^sha256:[0-9a-f]{64}\n.*jwe: ECDH-ES/s;
  const INSPECTED: readonly Case[] = [
    { args: ["--require-encrypted", ...ONE, ...TWO, "oci:both"], exit: 0, stdout: LAYERS, stderr: /^$/ },
    { args: ["-q", ...ONE, "oci:one"], exit: 0, stdout: /^sha256:[0-9a-f]{64}\n$/, stderr: /^$/ },
    { args: ["-q", ...ONE, "oci:half"], exit: 1, stdout: /^$/, stderr: /layer 1 is also encrypted for jwe:/ },
    { args: [...ONE, ...TWO, "oci:half"], exit: 0, stdout: LAYERS, stderr: /^$/ },
    {
      args: ["--require-encrypted", ...ONE, ...TWO, "oci:half"],
      exit: 1,
      stdout: LAYERS,
      stderr: error("not encrypted: linux/amd64 layer 0\\n$"),
    },
    {
      args: ["--require-recipients", "both.txt", "oci:one"],
      exit: 1,
      stdout: LAYERS,
      stderr: /is not encrypted/,
    },
    { args: [...ONE, "oci:plain"], exit: 1, stdout: /0 of 2 layers/, stderr: error("no layer is encrypted") },
  ];
  const ALL = "--require-encrypted";
  const DEMANDS: readonly (readonly [string, string, number, RegExp])[] = [
    ["--require-recipients unnamed.txt", "unnamed", 1, /layer 0 is also encrypted for jwe:\(unnamed\)\n/],
    ["--require-recipients unnamed2.txt", "unnamed", 0, /^$/],
    // oci:half has a plain base.
    [ALL, "half", 1, /error: not encrypted: linux\/amd64 layer 0\n/],
    [`${ALL} --except-base 1`, "half", 0, /^$/],
    [`${ALL} --layer -1`, "half", 0, /^$/],
    [`${ALL} --layer 0,1`, "half", 1, /error: not encrypted: linux\/amd64 layer 0\n/],
    ["--layer 2", "half", 1, /error: layer 2 does not exist: linux\/amd64 has 2 in all\n/],
    [ALL, "lacking", 1, /error: SOURCE lacks 1 manifest of the index\n/],
    [`${ALL} --platform linux/amd64`, "lacking", 0, /^$/],
    [ALL, "lacking-marked", 1, /error: SOURCE lacks 1 manifest of the index\n/],
    [ALL, "unattested", 0, /^$/],
    // Runtimes for arm64 pull it, whatever it is marked as.
    [ALL, "disguised", 1, /error: not encrypted: linux\/arm64 layer 0\n/],
  ];
  test.each(DEMANDS)(
    "inspect and verify agree on %s of %s: exit code %i",
    async (options, image, exit, stderr) => {
      for (const check of [["inspect"], ["verify", "-k", "one.jwk"]]) {
        const args = [...check, "-q", ...options.split(" "), `oci:${image}`];
        const result = await command(args, { cwd });
        expect([result.exit, result.stderr]).toEqual([exit, expect.stringMatching(stderr)]);
      }
    },
  );

  /** The reason of inspect. verify fails before it looks at the demands. */
  test.each([
    [
      ALL,
      "no-annotations",
      /amd64 layer 0: the layer has no annotation org\.opencontainers\.image\.enc\.pubopts/,
    ],
    [ALL, "no-keys", /amd64 layer 0: the layer has no wrapped key\n/],
    [ALL, "bad-keys", /amd64 layer 0: the layer's wrapped key for jwe can't be read: the JWE /],
    [ALL, "layerless", /no layer is encrypted\n/],
    [ALL, "imageless", /no layer is encrypted\n/],
  ])("neither inspect nor verify passes %s for %s", async (option, image, reason) => {
    const inspected = await command(["inspect", "-q", option, `oci:${image}`], { cwd });
    expect([inspected.exit, inspected.stderr]).toEqual([1, expect.stringMatching(reason)]);
    const verified = await command(["verify", "-q", "-k", "one.jwk", option, `oci:${image}`], { cwd });
    expect(verified.exit).toBe(1);
  });

  test.each(INSPECTED)("inspect $args, without a private key: exit code $exit", async (wanted) => {
    const result = await command(["inspect", ...wanted.args], { cwd });
    expect({ ...result, stdout: result.stdout.toString() }).toEqual({
      exit: wanted.exit,
      signal: null,
      stdout: expect.stringMatching(wanted.stdout),
      stderr: expect.stringMatching(wanted.stderr),
    });
  });

  test("JSON holds the result and the error, once", async () => {
    const args = ["verify", "-k", "one.jwk", "--json", "--require-encrypted", "oci:half"];
    const { exit, stdout } = await command(args, { cwd });
    expect(exit).toBe(1);
    expect(JSON.parse(stdout.toString())).toMatchObject({
      plain: [{ platform: "linux/amd64", position: 0 }],
      recipients: [{ position: 1, names: [expect.stringMatching(/^jwe:/), expect.stringMatching(/^jwe:/)] }],
      error: { code: "UNHEALTHY", message: "not encrypted: linux/amd64 layer 0" },
    });
  });
});
