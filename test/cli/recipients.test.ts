import { createPublicKey } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, expect, test } from "vitest";
import { command, type KeyPairFiles, rsaKeys, succeed } from "../support/cli.ts";
import { diffId, tar } from "../support/images.ts";
import { putManifest, rootOf, tagRoot } from "../support/layouts.ts";
import { describeWith, gpg, openssl, ours, output } from "../support/peers.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { keyFile, policyFile, SOFTHSM, softhsmToken } from "../support/tokens.ts";

/** One image for recipients of every scheme, opened by each of them alone. */
const folder = temporaryFolder();
const path = (name: string) => join(folder, name);
const encrypted = `oci:${path("encrypted")}`;
const env: Record<string, string> = {};
let keys: KeyPairFiles;

async function makeCertificate(): Promise<void> {
  mkdirSync(path("x509"));
  const files = ["-keyout", path("x509/key.pem"), "-out", path("x509/cert.pem")];
  await output(openssl, [
    "req",
    "-x509",
    "-newkey",
    "rsa:2048",
    "-nodes",
    "-subj",
    "/CN=node",
    "-days",
    "2",
    "-addext",
    "basicConstraints=critical,CA:FALSE",
    ...files,
  ]);
}

async function makeGpgKey(): Promise<void> {
  mkdirSync(path("gpg"), { mode: 0o700 });
  const gpgRun = (...args: string[]) =>
    output(gpg, ["--homedir", path("gpg"), "--batch", "--quiet", "--passphrase", "", ...args]);
  await gpgRun("--quick-generate-key", "ops@example.com", "rsa2048", "default", "never");
  const listing = (await gpgRun("--list-keys", "--with-colons")).toString();
  await gpgRun(
    "--quick-add-key",
    /^fpr:+([0-9A-F]+)/m.exec(listing)?.[1] ?? "",
    "rsa2048",
    "encrypt",
    "never",
  );
  writeFileSync(path("pgp.asc"), await gpgRun("--armor", "--export-secret-keys"));
}

function makeProvider(): void {
  const program = fileURLToPath(new URL("../support/providers/command.mjs", import.meta.url));
  const cmd = { path: process.execPath, args: [program, "the provider's secret", path("provider.log")] };
  writeFileSync(path("providers.json"), JSON.stringify({ "key-providers": { kms: { cmd } } }));
  env["OCICRYPT_KEYPROVIDER_CONFIG"] = path("providers.json");
}

async function makeToken(): Promise<void> {
  const token = await softhsmToken(path("token"), "cli", { key: 2048 });
  policyFile(path("ocicrypt.conf"), [token.module]);
  writeFileSync(path("token.yaml"), keyFile(token, "key"));
  Object.assign(env, token.environment, {
    OCICRYPT_CONFIG: path("ocicrypt.conf"),
    OCICRYPT_OAEP_HASHALG: "sha1",
  });
}

/** Recipients whose packets name them. */
function comparable(): string[] {
  return [
    `jwe:${keys.publicKey}`,
    `pkcs7:${path("x509/cert.pem")}`,
    "pgp:ops@example.com",
    "provider:kms:region=x",
  ];
}

describeWith([ours, openssl, gpg, ...SOFTHSM], "recipients of every scheme", {}, () => {
  beforeAll(async () => {
    keys = await rsaKeys(path("jwe"), "node");
    makeProvider();
    await Promise.all([makeCertificate(), makeGpgKey(), makeToken()]);
    const bytes = await tar({ a: Buffer.from("a") });
    tagRoot(
      path("plain"),
      putManifest(path("plain"), [{ bytes, compression: "none", diffId: diffId(bytes) }]),
    );
    const recipients = [...comparable(), `pkcs11:${path("token.yaml")}`];
    const named = recipients.flatMap((it) => ["--recipient", it]);
    await succeed(
      ["encrypt", "-q", "--gpg-homedir", path("gpg"), ...named, `oci:${path("plain")}`, `${encrypted}:v1`],
      { env },
    );
  });

  test("are all listed by inspect", async () => {
    const shown = JSON.parse(await succeed(["inspect", "--json", encrypted]));
    const packets = shown.platforms[0].layers[0].encryption.packets.map(
      ({ scheme }: { scheme: string }) => scheme,
    );
    expect(packets.sort()).toEqual(["jwe", "pgp", "pkcs11", "pkcs7", "provider.kms"]);
    expect(await succeed(["inspect", encrypted])).toMatch(/pkcs7: .*CN=node/);
  });

  test("are demanded as encrypt takes them", async () => {
    const named = comparable().flatMap((it) => ["--require-recipient", it]);
    writeFileSync(path("unnamed.txt"), "pkcs11:(unnamed)\n");
    const demands = ["--gpg-homedir", path("gpg"), ...named, "--require-recipients", path("unnamed.txt")];
    await succeed(["inspect", "-q", "--require-encrypted", ...demands, encrypted]);
    await succeed(["verify", "-q", "--key", keys.privateKey, ...demands, encrypted], { env });
  });

  test.each([
    ["jwe", () => ["--key", keys.privateKey]],
    ["pkcs7", () => ["--keys", path("x509")]],
    ["pgp", () => ["--key", path("pgp.asc")]],
    ["pkcs11", () => ["--key", path("token.yaml")]],
  ])("each open it alone: %s", async (scheme, key) => {
    const { OCICRYPT_KEYPROVIDER_CONFIG: _, ...others } = env;
    const shown = JSON.parse(await succeed(["inspect", "--json", ...key(), encrypted], { env: others }));
    expect(shown.platforms[0].layers[0].encryption.opens).toMatchObject([{ scheme }]);
    await succeed(["decrypt", "-q", ...key(), encrypted, `oci:${path(scheme)}-out:v1`], { env: others });
    expect(rootOf(path(`${scheme}-out`)).digest).toBe(rootOf(path("plain")).digest);
  });

  test("a key provider needs no --key", async () => {
    await succeed(["decrypt", "-q", encrypted, `oci:${path("provider-out")}:v1`], { env });
    expect(rootOf(path("provider-out")).digest).toBe(rootOf(path("plain")).digest);
  });

  test.each([
    ["pkcs7:x509/key.pem", /is a private key\n.*name its certificate/],
    ["jwe:x509/key.pem", /is a private key\n.*name its public half/],
    ["pkcs7:x509/node.p12", /is a PKCS#12 file.*\n.*openssl pkcs12 -in x509\/node\.p12 -clcerts -nokeys/],
    ["jwe:x509/node.p12", /is a PKCS#12 file.*\n.*openssl pkcs12 -in x509\/node\.p12 -clcerts -nokeys/],
  ])("that are private keys are refused, with what to name instead: %s", async (recipient, message) => {
    const files = ["-inkey", path("x509/key.pem"), "-in", path("x509/cert.pem")];
    await output(openssl, [
      "pkcs12",
      "-export",
      ...files,
      "-passout",
      "pass:x",
      "-out",
      path("x509/node.p12"),
    ]);
    const { exit, stderr } = await command(["encrypt", "-r", recipient, "oci:plain", "oci:none"], {
      cwd: folder,
    });
    expect(exit).toBe(1);
    expect(stderr).toMatch(message);
  });

  test("have no names with --anonymous, unless the scheme needs them", async () => {
    const named = [`jwe:${keys.publicKey}`, "pgp:ops@example.com", `pkcs7:${path("x509/cert.pem")}`];
    const args = ["--anonymous", "--gpg-homedir", path("gpg"), ...named.flatMap((it) => ["-r", it])];
    await succeed(["encrypt", "-q", ...args, `oci:${path("plain")}`, `oci:${path("anonymous")}:v1`]);
    const shown = JSON.parse(await succeed(["inspect", "--json", `oci:${path("anonymous")}`]));
    const { packets } = shown.platforms[0].layers[0].encryption;
    const ids = packets.flatMap((it: { recipients: { id?: string }[] }) => it.recipients.map(({ id }) => id));
    expect(ids.sort()).toEqual([expect.stringMatching(/CN=node/), undefined, undefined]);
    for (const key of [keys.privateKey, path("pgp.asc")])
      await succeed(["verify", "-q", "--key", key, `oci:${path("anonymous")}`]);
  });

  test("may have a byte order mark before their text, as editors on Windows write it", async () => {
    writeFileSync(
      path("jwk"),
      JSON.stringify(createPublicKey(readFileSync(keys.publicKey)).export({ format: "jwk" })),
    );
    const armoured = await output(gpg, ["--homedir", path("gpg"), "--armor", "--export"]);
    writeFileSync(path("pgp.pub.asc"), armoured);
    const files = {
      jwk: "jwe",
      "jwe/node.pub.pem": "jwe",
      "x509/cert.pem": "pkcs7",
      "pgp.pub.asc": "pgp",
      "token.yaml": "pkcs11",
    };
    const named = Object.entries(files).flatMap(([file, scheme]) => {
      writeFileSync(path(`${file}.marked`), `\ufeff${readFileSync(path(file), "utf8")}`);
      return ["--recipient", `${scheme}:${path(file)}.marked`];
    });
    await succeed(["encrypt", "-q", ...named, `oci:${path("plain")}`, `oci:${path("marked")}:v1`], { env });
    for (const key of [keys.privateKey, path("pgp.asc")])
      await succeed(["verify", "-q", "--key", key, `oci:${path("marked")}`]);
  });

  test("that are unusable are named before any work begins", async () => {
    for (const bad of [
      "pkcs7:none.pem",
      "pgp:nobody@example.com",
      "pkcs11:none.yaml",
      "provider:none",
      "jwe:none",
    ]) {
      const args = [
        "encrypt",
        "--gpg-homedir",
        path("gpg"),
        "--recipient",
        bad,
        `oci:${path("plain")}`,
        `oci:${path("bad")}`,
      ];
      const { exit, stderr } = await command(args, { env });
      expect(exit).toBe(1);
      expect(stderr).toContain(bad.slice(bad.indexOf(":") + 1));
    }
  });
});
