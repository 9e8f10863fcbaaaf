import { createHash, createPublicKey } from "node:crypto";
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { command, type KeyPairFiles, rsaKeys, succeed } from "../support/cli.ts";
import { diffId, readBlob, tar } from "../support/images.ts";
import { putManifest, putPlatforms, readDocument, rootOf, tagRoot } from "../support/layouts.ts";
import { describeWith, ours } from "../support/peers.ts";
import { temporaryFolder } from "../support/temporary.ts";

const folder = temporaryFolder();
const plain = join(folder, "plain");
const encrypted = join(folder, "encrypted");
let keys: KeyPairFiles;
let layerTar: Buffer;

/** The executable runs here: names are relative, and only the tests' own files exist. */
const cwd = folder;

beforeAll(async () => {
  keys = await rsaKeys(join(folder, "keys"), "node");
  layerTar = await tar({ "hello.txt": Buffer.from("hello") });
  const layer = { bytes: layerTar, compression: "none", diffId: diffId(layerTar) } as const;
  putPlatforms(plain, [layer]);
  await succeed([
    "encrypt",
    "-q",
    "--recipient",
    `jwe:${keys.publicKey}`,
    `oci:${plain}`,
    `oci:${encrypted}:v1`,
  ]);
  await succeed(["keygen", "-q", "second"], { cwd });
  const both = ["--recipient", "jwe:keys/node.pub.pem", "--recipient", "jwe:second.pub"];
  await succeed(["encrypt", "-q", ...both, "oci:plain", "oci:two:v1"], { cwd });
});

describeWith([ours], "the command line", {}, () => {
  test.each([
    [["--help"], /Commands for images:\n {2}encrypt /],
    [["-h"], /Commands for images:/],
    [["help"], /Commands for images:/],
    [["help", "verify"], /ctd-decoder verify \[OPTIONS\] SOURCE/],
    [["trust", "--help"], /^Usage:\n {2}ctd-decoder trust COMMAND/],
    [["help", "trust"], /^Usage:\n {2}ctd-decoder trust COMMAND/],
    [["verify", "--help"], /Examples:/],
    [["verify", "-h"], /Examples:/],
    [["encrypt", "a", "b", "--help"], /Examples:/],
    [["--version"], /^ctd-decoder \d+\.\d+\.\d+\n$/],
    [["completion", "bash"], /complete -o default/],
    [["man"], /^\.TH /],
  ])("%j prints to standard output and exits 0", async (args, text) => {
    const { exit, stdout, stderr } = await command(args, { cwd });
    expect({ exit, stderr }).toEqual({ exit: 0, stderr: "" });
    expect(stdout.toString()).toMatch(text);
  });
});

describeWith([ours], "keygen", {}, () => {
  test("names a signing key as the trust commands do", async () => {
    const env = { COSIGN_PASSWORD: "" };
    const text = await succeed(["keygen", "--for", "signing", "signer"], { cwd, env });
    const spki = createPublicKey(readFileSync(join(folder, "signer.pub"))).export({
      type: "spki",
      format: "der",
    });
    const fingerprint = `sha256:${createHash("sha256").update(spki).digest("hex")}`;
    expect(text).toContain(`fingerprint: ${fingerprint}\n`);
    expect(text).not.toContain("kid:");
    await succeed(["encrypt", "-q", "-r", "jwe:second.pub", "oci:plain", "oci:signed:v1"], { cwd });
    const name = ["--sign-container-identity", "registry.example/app:v1"];
    const signed = await succeed(["sign", "--key", "signer", ...name, "oci:signed:v1"], { cwd, env });
    expect(signed).toContain(`with key ${fingerprint}\n`);
    const both = ["encrypt", "-r", "jwe:second.pub", "--sign-by", "signer", ...name, "oci:plain"];
    const line = `signed as registry.example/app:v1 with key ${fingerprint}\n`;
    expect(await succeed([...both, "oci:signed:v2"], { cwd, env })).toMatch(
      new RegExp(`^encrypted .*\\n.*${line}sha256:[0-9a-f]{64}\\n$`, "s"),
    );
    expect(JSON.parse(await succeed([...both, "--json", "oci:signed:v3"], { cwd, env }))).toMatchObject({
      signedAs: "registry.example/app:v1",
      signedBy: fingerprint,
    });
  });

  test("makes a pair that only its owner reads, and that works", async () => {
    const file = join(folder, "made.jwk");
    const shown = JSON.parse(
      await succeed(["keygen", "--type", "ec", "--curve", "P-384", "--format", "jwk", "--json", file]),
    );
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(JSON.parse(readFileSync(`${file}.pub`, "utf8"))).toMatchObject({
      crv: "P-384",
      kid: shown.kid,
    });
    await succeed([
      "rewrap",
      "-q",
      "--key",
      keys.privateKey,
      "--recipient",
      `jwe:${file}.pub`,
      `oci:${encrypted}`,
      `oci:${folder}/made:v1`,
    ]);
    expect(await succeed(["verify", "--key", file, `oci:${folder}/made`])).toMatch(
      /2 layers, .*complete and unchanged/,
    );
  });

  test("makes PEM, and never writes over either file", async () => {
    const file = join(folder, "made.pem");
    await succeed(["keygen", "--bits", "2048", file]);
    expect(createPublicKey(readFileSync(`${file}.pub`)).asymmetricKeyDetails?.modulusLength).toBe(2048);
    writeFileSync(join(folder, "other.pub"), "mine");
    expect((await command(["keygen", join(folder, "other")])).exit).toBe(1);
    expect([existsSync(join(folder, "other")), readFileSync(join(folder, "other.pub"), "utf8")]).toEqual([
      false,
      "mine",
    ]);
  });
});

describeWith([ours], "layer", {}, () => {
  const manifest = () => readDocument(encrypted, readDocument(encrypted, rootOf(encrypted)).manifests[0]);

  test("decrypts one out of an image", async () => {
    const args = [
      "layer",
      "--index",
      "-1",
      "--platform",
      "linux/amd64",
      "--keys",
      join(folder, "keys"),
      `oci:${encrypted}`,
    ];
    const { exit, stdout } = await command(args);
    expect([exit, stdout]).toEqual([0, layerTar]);
  });

  test("decrypts the first one where no position is given", async () => {
    const other = await tar({ "bye.txt": Buffer.from("bye") });
    const layers = [layerTar, other].map(
      (bytes) => ({ bytes, compression: "none", diffId: diffId(bytes) }) as const,
    );
    const layout = join(folder, "layers");
    tagRoot(layout, putManifest(layout, layers));
    await succeed(
      ["encrypt", "-q", "--recipient", "jwe:keys/node.pub.pem", "oci:layers", "oci:layers-enc:v1"],
      {
        cwd,
      },
    );
    const { exit, stdout } = await command(["layer", "--key", "keys/node.pem", "oci:layers-enc"], { cwd });
    expect([exit, stdout]).toEqual([0, layerTar]);
  });

  test("decrypts one from standard input with its descriptor", async () => {
    const [descriptor] = manifest().layers;
    writeFileSync(join(folder, "desc.json"), JSON.stringify(descriptor));
    const args = ["layer", "--descriptor", join(folder, "desc.json"), "--key", keys.privateKey];
    const { exit, stdout } = await command(args, { input: readBlob(encrypted, descriptor) });
    expect([exit, stdout]).toEqual([0, layerTar]);
  });

  test("releases nothing of one that is not authentic", async () => {
    const [descriptor] = manifest().layers;
    const forged = readBlob(encrypted, descriptor);
    forged[0] = (forged[0] ?? 0) ^ 1;
    const args = ["layer", "--descriptor", join(folder, "desc.json"), "--key", keys.privateKey];
    const { exit, stdout, stderr } = await command(args, { input: forged });
    expect([exit, stdout.length]).toEqual([1, 0]);
    expect(stderr).toMatch(/not authentic/);
  });
});

describeWith([ours], "results", {}, () => {
  test("as JSON, with nothing beside", async () => {
    const args = [
      "encrypt",
      "--json",
      "--recipient",
      `jwe:${keys.publicKey}`,
      `oci:${plain}`,
      `oci:${folder}/json:v1`,
    ];
    const { stdout, stderr } = await command(args);
    expect(stderr).toBe("");
    const result = JSON.parse(stdout.toString());
    expect(result).toMatchObject({
      destination: `oci:${folder}/json:v1`,
      digest: rootOf(join(folder, "json")).digest,
      keptLayers: 0,
    });
    expect(result.layers).toHaveLength(2);
  });

  test("as lines, without colours or a cursor that moves", async () => {
    const args = ["decrypt", "--key", keys.privateKey, `oci:${encrypted}`, `oci:${folder}/lines:v1`];
    const { stdout, stderr } = await command(args);
    expect(stderr).toMatch(
      /^linux\/amd64 layer 0 decrypted, 2\.0 KiB: [^\n]+\nlinux\/arm64 layer 0 decrypted, [^\n]+\n$/,
    );
    expect(stdout.toString()).toMatch(/^decrypted 2 layers into oci:[^\n]+\nsha256:[0-9a-f]{64}\n$/);
    expect(stdout.toString() + stderr).not.toMatch(/\p{Cc}(?<!\n)/u);
  });

  test.each([
    ["inspect", "oci:encrypted"],
    ["inspect", "--key", "keys/node.pem", "oci:encrypted"],
    ["verify", "--key", "keys/node.pem", "oci:encrypted"],
    ["decrypt", "--key", "keys/node.pem", "oci:encrypted", "oci:quiet:decrypted"],
    ["encrypt", "--recipient", "jwe:keys/node.pub.pem", "oci:plain", "oci:quiet:encrypted"],
    ["rewrap", "--remove", "jwe:keys/node.pub.pem", "oci:two", "oci:quiet:rewrapped"],
  ])("are the digest alone with -q: %s", async (...args) => {
    const { exit, stdout, stderr } = await command([...args, "-q"], { cwd });
    const place = args.at(-1) ?? "";
    const { digest } = JSON.parse(await succeed(["inspect", "--json", place], { cwd }));
    expect({ exit, stdout: stdout.toString(), stderr }).toEqual({
      exit: 0,
      stdout: `${digest}\n`,
      stderr: "",
    });
  });

  test("of keygen are the kid alone with -q", async () => {
    const kid = await succeed(["keygen", "-q", "--format", "jwk", "quiet.jwk"], { cwd });
    expect(kid).toBe(`${JSON.parse(readFileSync(join(folder, "quiet.jwk.pub"), "utf8")).kid}\n`);
  });

  test("of inspect: who opens what", async () => {
    const shown = JSON.parse(
      await succeed(["inspect", "--json", "--key", keys.privateKey, `oci:${encrypted}`]),
    );
    expect(shown.platforms.map(({ platform }: { platform: string }) => platform)).toEqual([
      "linux/amd64",
      "linux/arm64",
    ]);
    expect(shown.platforms[0].layers[0].encryption).toMatchObject({
      cipher: "AES_256_CTR_HMAC_SHA256",
      packets: [{ scheme: "jwe", recipients: [{ algorithm: "RSA-OAEP" }] }],
      opens: [{ scheme: "jwe", key: keys.privateKey }],
    });
  });

  test("of inspect: all keys that open a layer, by the name that keygen and errors print", async () => {
    const [first, second, other] = ["first.pem", "second.jwk", "third.pem"];
    const made = async (file: string, ...args: string[]) =>
      JSON.parse(await succeed(["keygen", "--json", ...args, file], { cwd })).kid as string;
    const prints = [await made(first), await made(second, "--format", "jwk"), await made(other)];
    const recipients = [first, second].flatMap((file) => ["--recipient", `jwe:${file}.pub`]);
    await succeed(["encrypt", "-q", ...recipients, "oci:plain", "oci:several:v1"], { cwd });
    const args = ["inspect", "--platform", "linux/amd64", "--key", other, "--key", second, "--key", first];
    const shown = JSON.parse(await succeed([...args, "--json", "oci:several"], { cwd }));
    expect(shown.platforms[0].layers[0].encryption.opens).toEqual([
      expect.objectContaining({ key: second, kid: prints[1] }),
      expect.objectContaining({ key: first, kid: prints[0] }),
    ]);
    expect(await succeed([...args, "oci:several"], { cwd })).toMatch(
      new RegExp(
        `opens with ${second} kid=${prints[1]} \\(jwe\\)\n +opens with ${first} kid=${prints[0]} \\(jwe\\)\n`,
      ),
    );
    const refused = await command(["verify", "--key", other, "oci:several"], { cwd });
    expect(refused.stdout.toString()).toContain(prints[2]);
    expect(await succeed(["inspect", "--key", other, "oci:several"], { cwd })).toMatch(/none of the keys/);
  });

  test("of inspect for a manifest, and an index, on standard input", async () => {
    const root = rootOf(encrypted);
    const index = JSON.parse(await succeed(["inspect", "--json", "-"], { input: readBlob(encrypted, root) }));
    expect(index).toMatchObject({
      digest: root.digest,
      others: [{ platform: "linux/amd64" }, { platform: "linux/arm64" }],
    });
    const [entry] = readDocument(encrypted, root).manifests;
    const manifest = JSON.parse(
      await succeed(["inspect", "--json", "-"], { input: readBlob(encrypted, entry) }),
    );
    expect(manifest.platforms[0].layers[0].encryption.packets).toHaveLength(1);
  });
});

describeWith([ours], "pipes", {}, () => {
  test.each([["inspect"], ["verify", "--key", "keys/node.pem"]])(
    "%s of an empty pipe says so",
    async (...args) => {
      const { exit, stdout, stderr } = await command([...args, "-"], { cwd });
      expect({ exit, stdout: stdout.length }).toEqual({ exit: 1, stdout: 0 });
      expect(stderr).toMatch(/^ctd-decoder: error: standard input is empty\nctd-decoder: hint: .*failed/);
    },
  );

  test("an archive goes through commands from end to end", async () => {
    const encrypt = await command(["encrypt", "--recipient", `jwe:${keys.publicKey}`, `oci:${plain}`, "-"]);
    expect(encrypt.stderr).toMatch(/encrypted 2 layers into oci-archive:-\n/);
    const decrypt = await command(["decrypt", "--key", keys.privateKey, "-", "oci-archive:-:v1"], {
      input: encrypt.stdout,
    });
    expect(decrypt.exit).toBe(0);
    const shown = await succeed(["inspect", "--json", "oci-archive:-:v1"], { input: decrypt.stdout });
    expect(JSON.parse(shown).digest).toBe(rootOf(plain).digest);
  });
});
