import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { command, ONE_ERROR, succeed } from "../support/cli.ts";
import { describeWith, openssl, ours, output } from "../support/peers.ts";
import { temporaryFolder } from "../support/temporary.ts";

const folder = temporaryFolder();
const cwd = folder;
const NAMES = ["a", "b", "c"] as const;
type Name = (typeof NAMES)[number];
const kids = new Map<Name, string>();
let count = 0;

/** "ab" is for a and b, "hidden" for a without its name. */
beforeAll(async () => {
  writeFileSync(join(folder, "file.tar"), Buffer.alloc(1024));
  for (const name of NAMES)
    kids.set(name, JSON.parse(await succeed(["keygen", "--json", name], { cwd })).kid as string);
  const encrypt = ["encrypt", "-q", "tar:file.tar"];
  await succeed([...encrypt, "oci:ab:x", "-r", "jwe:a.pub", "-r", "jwe:b.pub"], { cwd });
  await succeed([...encrypt, "oci:hidden:x", "-r", "jwe:a.pub", "--anonymous"], { cwd });
  await makeExpiredCertificate();
});

/** expired.crt, for the key of a. */
async function makeExpiredCertificate(): Promise<void> {
  const settings = `[ca]
default_ca = d
[d]
database = ${folder}/index.txt
new_certs_dir = ${folder}
rand_serial = yes
default_md = sha256
policy = p
x509_extensions = e
[p]
commonName = supplied
[e]
basicConstraints = CA:FALSE
`;
  writeFileSync(join(folder, "ca.cnf"), settings);
  writeFileSync(join(folder, "index.txt"), "");
  const run = async (line: string) => await output(openssl, line.split(" "), { cwd });
  await run("req -new -key a -subj /CN=old -out a.csr");
  const dates = "-startdate 20200101000000Z -enddate 20200102000000Z";
  await run(`ca -batch -config ca.cnf -selfsign -keyfile a -in a.csr ${dates} -notext -out expired.crt`);
}

interface Changed {
  readonly args: readonly string[];
  readonly from?: string;
  readonly added?: readonly Name[];
  readonly kept?: readonly Name[];
  readonly removed?: readonly Name[];
}

const CHANGES: readonly Changed[] = [
  { args: ["-k", "a", "-r", "jwe:c.pub"], added: ["c"], kept: ["a", "b"] },
  { args: ["-k", "a", "-r", "jwe:b.pub"], kept: ["a", "b"] },
  { args: ["-k", "a", "-r", "jwe:c.pub", "-r", "jwe:c.pub"], added: ["c"], kept: ["a", "b"] },
  { args: ["-k", "a", "--replace", "jwe:a.pub=jwe:c.pub"], added: ["c"], kept: ["b"], removed: ["a"] },
  { args: ["-k", "b", "--replace", "jwe:a.pub=jwe:b.pub"], kept: ["b"], removed: ["a"] },
  { args: ["--remove", "jwe:a.pub"], kept: ["b"], removed: ["a"] },
  {
    args: ["-k", "a", "--remove", "jwe:b.pub", "-r", "jwe:c.pub"],
    added: ["c"],
    kept: ["a"],
    removed: ["b"],
  },
  { args: ["-k", "a", "--only", "-r", "jwe:c.pub"], added: ["c"], removed: ["a", "b"] },
  { args: ["-k", "a", "--only", "-r", "jwe:a.pub"], kept: ["a"], removed: ["b"] },
];

const REFUSED: readonly (readonly [args: readonly string[], exit: number, message: RegExp])[] = [
  [["-k", "a", "oci:ab"], 2, /no change of recipients/],
  [["-k", "a", "--only", "oci:ab"], 2, /--only needs the recipients that remain/],
  [["-k", "a", "--only", "--keep", "-r", "jwe:c.pub", "oci:ab"], 2, /--only .* excludes --keep/],
  [["-k", "a", "--only", "--remove", "jwe:a.pub", "-r", "jwe:c.pub", "oci:ab"], 2, /excludes .*--remove/],
  [["-k", "a", "--replace", "jwe:a.pub", "oci:ab"], 2, /is not OLD=NEW/],
  [["-r", "jwe:c.pub", "oci:ab"], 2, /no private key is named/],
  [["-k", "c", "-r", "jwe:c.pub", "oci:ab"], 1, /no key here opens/],
  [["--remove", "jwe:c.pub", "oci:ab"], 1, /jwe:c\.pub/],
  [["--remove", "jwe:a.pub", "--remove", "jwe:b.pub", "oci:ab"], 1, /recipient/],
  [["-k", "a", "-r", "jwe:none.pub", "oci:ab"], 1, /none\.pub/],
  [["-k", "a", "-r", "jwe:expired.crt", "oci:ab"], 1, /expired on \d{4}-\d\d-\d\d.*\n.*--allow-expired/],
];

describeWith([ours, openssl], "rewrap", {}, () => {
  test.each(CHANGES)("$args", async ({ args, from = "ab", added = [], kept = [], removed = [] }) => {
    const destination = `oci:out-${count++}:x`;
    const { exit, stdout, stderr } = await command(["rewrap", ...args, `oci:${from}`, destination], { cwd });
    const line = (change: string, names: readonly Name[]) => {
      const ids = names.map((name) => `jwe: ECDH-ES+A256KW ${kids.get(name)}`);
      return ids.length > 0 ? `recipients ${change}: ${ids.join(", ")}\n` : "";
    };
    const lines = line("added", added) + line("kept", kept) + line("removed", removed);
    expect({ exit, progress: stderr }).toEqual({
      exit: 0,
      progress: expect.stringMatching(/^linux\/amd64 layer 0 rewrapped, [^\n]+\n$/),
    });
    expect(stdout.toString().replace(/sha256:[0-9a-f]{64}\n$/, "DIGEST\n")).toBe(
      `rewrapped 1 layer into ${destination}\n${lines}DIGEST\n`,
    );
    const keys = NAMES.flatMap((name) => ["-k", name]);
    const shown = JSON.parse(await succeed(["inspect", "--json", ...keys, destination], { cwd }));
    const opens = shown.platforms[0].layers[0].encryption.opens.map(({ key }: { key: string }) => key);
    expect(opens.sort()).toEqual([...added, ...kept].sort());
  });

  test.each(REFUSED)("%j fails, and makes no image", async (args, code, message) => {
    const { exit, stdout, stderr } = await command(["rewrap", ...args, "oci:refused:x"], { cwd });
    expect({ exit, stdout: stdout.toString() }).toEqual({ exit: code, stdout: "" });
    expect(stderr).toMatch(ONE_ERROR);
    expect(stderr).toMatch(message);
    expect(existsSync(join(folder, "refused"))).toBe(false);
  });

  test("writes an expired certificate's key if the user insists", async () => {
    const args = ["rewrap", "-q", "-k", "b", "--only", "-r", "jwe:expired.crt", "--allow-expired"];
    await succeed([...args, "oci:ab", "oci:insisted:x"], { cwd });
    await succeed(["verify", "-q", "-k", "a", "oci:insisted:x"], { cwd });
  });

  test("does not name recipients with --anonymous, and keeps unnamed ones", async () => {
    const args = ["rewrap", "--json", "-k", "a", "-r", "jwe:b.pub", "--anonymous"];
    const [layer] = JSON.parse(await succeed([...args, "oci:hidden", "oci:still-hidden:x"], { cwd })).layers;
    const anonymous = { scheme: "jwe", algorithm: "ECDH-ES+A256KW" };
    expect(layer.recipients).toEqual({ added: [anonymous], kept: [anonymous], removed: [] });
    const shown = await succeed(["inspect", "--json", "oci:still-hidden"], { cwd });
    for (const kid of kids.values()) expect(shown).not.toContain(kid);
    for (const name of ["a", "b"]) await succeed(["verify", "-q", "-k", name, "oci:still-hidden"], { cwd });
  });
});
