import { generateKeyPairSync } from "node:crypto";
import { copyFileSync, cpSync, existsSync, mkdirSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { generateKeys } from "../../src/keys/generate.ts";
import { command, type KeyPairFiles, ONE_ERROR, rsaKeys, succeed } from "../support/cli.ts";
import { diffId, tar } from "../support/images.ts";
import { putManifest, readDocument, rootOf, tagRoot } from "../support/layouts.ts";
import { describeWith, ours } from "../support/peers.ts";
import { temporaryFolder } from "../support/temporary.ts";

/** The advice that a failed command prints. Relative names: the executable runs in the tests' own folder. */
const folder = temporaryFolder();
const cwd = folder;

beforeAll(async () => {
  const keys: KeyPairFiles = await rsaKeys(folder, "node");
  await rsaKeys(folder, "other");
  const jwk = await generateKeys({ type: "ec", curve: "P-256" }, "jwk");
  writeFileSync(join(folder, "key.jwk"), jwk.privateKey);
  writeFileSync(join(folder, "key.jwk.pub"), jwk.publicKey);
  writeFileSync(join(folder, "lone.jwk"), jwk.privateKey);
  copyFileSync(keys.privateKey, join(folder, "pair.pem"));
  copyFileSync(keys.publicKey, join(folder, "pair.pem.pub"));
  const bytes = await tar({ "hello.txt": Buffer.from("hello") });
  const layer = { bytes, compression: "none", diffId: diffId(bytes) } as const;
  tagRoot(join(folder, "plain"), putManifest(join(folder, "plain"), [layer]));
  await succeed(["encrypt", "-q", "--recipient", "jwe:node.pub.pem", "oci:plain", "oci:encrypted:v1"], {
    cwd,
  });
});

async function failure(...args: string[]) {
  const { exit, stdout, stderr } = await command(args, { cwd });
  expect(stderr).toMatch(ONE_ERROR);
  const [, message = "", hint = ""] =
    /^ctd-decoder: error: (.*)\n(?:ctd-decoder: hint: (.*)\n)?$/.exec(stderr) ?? [];
  return { exit, stdout: stdout.toString(), message, hint };
}

const FOR_NODE = ["--recipient", "jwe:node.pub.pem"];

describeWith([ours], "advice about the command line", {}, () => {
  test.each([
    [
      ["encrypt", "--compression", "xz", "oci:a", "oci:b"],
      '--compression takes keep, gzip or none, not "xz"',
    ],
    [["encrypt", "--bogus", "oci:a", "oci:b"], "unknown option --bogus"],
    [["verify", "-x", "--no-quiet", "oci:a"], "unknown options -x, --no-quiet"],
    [["decrypt", "oci:a", "oci:b", "--key"], "--key needs a value"],
    [["verify", "--recipent", "x", "oci:a"], "unknown option --recipent"],
    [
      ["verify", "--decryption-key-path", "x", "oci:a"],
      "unknown option --decryption-key-path (did you mean --decryption-keys-path?)",
    ],
    [
      ["encrypt", "--recipent", "x", "oci:a", "oci:b"],
      "unknown option --recipent (did you mean --recipient?)",
    ],
    [["verify", "--kyes", "x", "oci:a"], "unknown option --kyes (did you mean --keys?)"],
    [["verify"], "SOURCE is missing"],
    [["verify", "oci:a", "oci:b"], 'unexpected argument "oci:b"'],
  ])("%j: one sentence, and the command's usage", async (args, message) => {
    const operands = args[0] === "verify" ? "SOURCE" : "SOURCE DEST";
    expect(await failure(...args)).toEqual({
      exit: 2,
      stdout: "",
      message,
      hint: `usage: ctd-decoder ${args[0]} [OPTIONS] ${operands}; see ctd-decoder ${args[0]} --help`,
    });
  });

  test.each([
    [["encrpyt", "oci:a", "oci:b"], '"encrpyt" is not a command (did you mean encrypt?)'],
    [["frobnicate"], '"frobnicate" is not a command'],
    [
      ["--decryption-key-path", "keys"],
      "unknown option --decryption-key-path (did you mean --decryption-keys-path?)",
    ],
    [["--spool-dri=/tmp"], "unknown option --spool-dri=/tmp (did you mean --spool-dir?)"],
    [["--frobnicate"], "unknown option --frobnicate"],
  ])("%j: what was meant", async (args, message) => {
    expect((await failure(...args)).message).toBe(message);
  });

  test.each([
    [["--frobnicate"], 1],
    [["-v"], 1],
    [["frobnicate"], 2],
    [["inspect", "--frobnicate"], 2],
  ])("wrong usage %j: exit code %i", async (args, exit) => {
    expect((await failure(...args)).exit).toBe(exit);
  });

  test("ctd-decoder version is ctd-decoder --version", async () => {
    expect(await succeed(["version"])).toBe(await succeed(["--version"]));
  });

  test("a call by hand without a terminal points to the help", async () => {
    expect((await failure()).hint).toMatch(/^for a call by hand see ctd-decoder --help; containerd /);
  });

  test.each([
    [["inspect", "app"], /^an image is oci:DIR.*docker:\/\/HOST.* or - for an archive on standard input$/],
    [
      ["encrypt", ...FOR_NODE, "app", "oci:out"],
      /^an image is oci:DIR.*; files to make one of are rootfs:DIR, tar:FILE$/,
    ],
    [["decrypt", "--key", "node.pem", "oci:encrypted", "app"], /^a destination is oci:DIR/],
    [["inspect", "rootfs:."], /^ctd-decoder encrypt makes an image of it/],
    [["verify", "--key", "node.pem", "tar:x.tar"], /^ctd-decoder encrypt makes an image of it/],
    [["decrypt", "--key", "node.pem", "oci:plain", "oci:out"], /ctd-decoder inspect/],
    [["layer", "--key", "node.pem", "oci:plain"], /ctd-decoder inspect/],
  ])("%j: what is wanted there", async (args, hint) => {
    expect((await failure(...args)).hint).toMatch(hint);
  });

  test.each([
    [["keygen", "--type", "ec", "--bits", "2048", "out"]],
    [["keygen", "--curve", "P-384", "--bits", "2048", "out"]],
    [["keygen", "--type", "rsa", "--curve", "P-384", "out"]],
  ])("%j: options of different kinds of keys", async (args) => {
    expect((await failure(...args)).hint).toMatch(/--type rsa .*--type ec /);
  });
});

describeWith([ours], "advice about keys", {}, () => {
  test.each([
    ["pair.pem", /^name its public half: --recipient jwe:pair\.pem\.pub$/],
    ["key.jwk", /^name its public half: --recipient jwe:key\.jwk\.pub$/],
    ["node.pem", /^.*openssl pkey -in KEY -pubout/],
    ["lone.jwk", /^name its public half \(/],
  ])("a private key as recipient, %s: which file to give", async (file, hint) => {
    const { message, hint: told } = await failure(
      "encrypt",
      "--recipient",
      `jwe:${file}`,
      "oci:plain",
      "oci:out",
    );
    expect(message).toMatch(/is a private key/);
    expect(told).toMatch(hint);
  });

  test.each([
    ["node.pub.pem", /private key that belongs to it$/],
    ["pair.pem.pub", /private key that belongs to it: --key pair\.pem$/],
    ["key.jwk.pub", /private key that belongs to it: --key key\.jwk$/],
  ])("a public key as --key, %s: that the private one is wanted", async (file, hint) => {
    expect((await failure("decrypt", "--key", file, "oci:encrypted", "oci:out")).hint).toMatch(hint);
  });

  test("verify reports each layer once, with advice", async () => {
    const shown = await failure("verify", "--key", "other.pem", "oci:encrypted");
    const decrypt = await failure("decrypt", "--key", "other.pem", "oci:encrypted", "oci:out");
    expect(shown.hint).toBe(decrypt.hint);
    expect(shown.message).toBe("verification failed for 1 of 1 layer");
    expect(shown.stdout).toMatch(/^bad: linux\/amd64 layer 0: no key here [^\n]*\n$/);
    const quiet = await failure("verify", "-q", "--key", "other.pem", "oci:encrypted");
    expect(quiet.stdout).toBe("");
    expect(quiet.message).toMatch(/^verification failed .*: linux\/amd64 layer 0: no key here /);
    const json = await failure("verify", "--json", "--key", "other.pem", "oci:encrypted");
    expect(JSON.parse(json.stdout).failures).toMatchObject([{ code: "NO_KEY", hint: decrypt.hint }]);
  });

  test("an encrypted key: the hint shows where its password belongs", async () => {
    const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const pem = privateKey.export({ format: "pem", type: "pkcs8", cipher: "aes-256-cbc", passphrase: "p" });
    mkdirSync(join(folder, "locked"));
    writeFileSync(join(folder, "locked/enc.pem"), pem);
    const folderHint = /^put each encrypted key's password .* --key-passwords-path names$/;
    expect((await failure("verify", "--keys", "locked", "oci:encrypted")).hint).toMatch(folderHint);
    for (const key of ["locked/enc.pem", "locked/enc.pem:pass=wrong"])
      expect((await failure("verify", "--key", key, "oci:encrypted")).hint).toMatch(
        /locked\/enc\.pem:file=PASSWORD-FILE, .*:fd=NUMBER or .*:pass=TEXT$/,
      );
  });

  test("without a key, the hint names the command's options, not a node's", async () => {
    mkdirSync(join(folder, "empty"));
    expect((await failure("verify", "--keys", "empty", "oci:encrypted")).hint).toBe(
      (await failure("verify", "oci:encrypted")).hint,
    );
  });

  test("a layer that is cut: the hint is to fetch it again", async () => {
    cpSync(join(folder, "encrypted"), join(folder, "cut"), { recursive: true });
    const { digest } = readDocument(join(folder, "cut"), rootOf(join(folder, "cut"))).layers[0];
    truncateSync(join(folder, "cut/blobs/sha256", digest.slice("sha256:".length)), 1000);
    const { stdout, hint } = await failure("verify", "--key", "node.pem", "oci:cut");
    expect(stdout).toMatch(/has 1000 bytes/);
    expect(hint).toMatch(/fetch it again/);
  });

  test("inspect names recipients by kid, unless they are anonymous", async () => {
    const both = ["--recipient", "jwe:node.pub.pem", "--recipient", "jwe:key.jwk.pub"];
    await succeed(["encrypt", "-q", ...both, "oci:plain", "oci:both:v1"], { cwd });
    const shown = await succeed(["inspect", "oci:both"], { cwd });
    expect(shown).toMatch(/jwe: RSA-OAEP [\w-]{43}\n/);
    await succeed(["encrypt", "-q", "--anonymous", ...both, "oci:plain", "oci:hidden:v1"], { cwd });
    const hidden = await succeed(["inspect", "oci:hidden"], { cwd });
    expect(hidden).toMatch(/jwe: RSA-OAEP \(unnamed\)\n.*jwe: ECDH-ES\+A256KW \(unnamed\)\n/s);
    expect(shown).toMatch(/jwe: ECDH-ES\+A256KW [\w-]{43}\n/);
    expect(await succeed(["inspect", "--help"])).toMatch(/\(unnamed\)/);
  });

  test("keygen prints the type of the key that it made", async () => {
    expect(await succeed(["keygen", "--bits", "2048", join(folder, "rsa.pem")])).toMatch(/RSA 2048/);
    expect(await succeed(["keygen", join(folder, "ec.pem")])).toMatch(/EC P-256/);
  });
});

describeWith([ours], "encrypt never omits a recipient silently", {}, () => {
  test.each([
    ["encrypted", "recipient", "add-recipient"],
    ["plain", "add-recipient", "recipient"],
  ])("an image that is all %s: --%s", async (image, ignored, used) => {
    const named = [`--${ignored}`, "jwe:other.pub.pem", `--${used}`, "jwe:pair.pem.pub"];
    const { exit, message, hint } = await failure(
      ...["encrypt", "--key", "node.pem", ...named, `oci:${image}`, "oci:out"],
    );
    expect(exit).toBe(1);
    expect(message).toContain(`--${ignored} jwe:other.pub.pem`);
    expect(hint).toContain(`--${used} jwe:other.pub.pem`);
    expect(existsSync(join(folder, "out"))).toBe(false);
    const same = [`--${ignored}`, "jwe:pair.pem.pub", `--${used}`, "jwe:pair.pem.pub"];
    await succeed(["encrypt", "-q", "--key", "node.pem", ...same, `oci:${image}`, `oci:same-${image}`], {
      cwd,
    });
  });
});
