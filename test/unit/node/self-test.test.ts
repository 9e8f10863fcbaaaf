import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, beforeEach, expect, onTestFinished, test } from "vitest";
import type { KeySet } from "../../../src/keys/keyset.ts";
import { loadKeys } from "../../../src/keys/load.ts";
import { selfTest } from "../../../src/node/self-test.ts";
import { Secret } from "../../../src/secret.ts";
import { describeWith, openssl, ours, output } from "../../support/peers.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const folder = temporaryFolder();
const keysPath = join(folder, "keys");
const PAYLOAD_TYPE = "io.containerd.ocicrypt.v1.Payload";

describeWith([ours, openssl], "the self-test", {}, () => {
  let keys: KeySet;

  beforeAll(async () => {
    mkdirSync(keysPath);
    const request = (name: string, ...args: string[]) =>
      output(openssl, [
        ...["req", "-x509", "-nodes", "-subj", `/CN=${name}`, "-days", "2", ...args],
        ...["-keyout", join(keysPath, `${name}.key`), "-out", join(keysPath, `${name}.crt`)],
      ]);
    await request("rsa", "-newkey", "rsa:2048");
    await request("ec", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256");
    const key = ["-keyout", join(folder, "stranger.key"), "-newkey", "rsa:2048"];
    await output(openssl, [
      ...["req", "-x509", "-nodes", "-subj", "/CN=stranger", "-days", "2", ...key],
      ...["-out", join(keysPath, "stranger.crt")],
    ]);
    keys = await loadKeys({ keysPath, strictKeys: false, allowExternalSymlinks: false });
  });

  beforeEach(() => {
    const before = process.env["TMPDIR"];
    process.env["TMPDIR"] = mkdtempSync(join(folder, "tmp-"));
    onTestFinished(() => {
      if (before === undefined) delete process.env["TMPDIR"];
      else process.env["TMPDIR"] = before;
    });
  });

  const left = () => readdirSync(process.env["TMPDIR"] ?? "");

  function program(script: string): string {
    const path = join(mkdtempSync(join(folder, "bin-")), "ctd-decoder");
    writeFileSync(path, `#!/bin/sh\n${script}\n`);
    chmodSync(path, 0o755);
    return path;
  }

  const tested = (path: string, change: Partial<KeySet> = {}) =>
    selfTest({
      keys: { ...keys, ...change },
      keysPath,
      program: path,
      args: ["--decryption-keys-path", keysPath],
      settings: {
        environment: process.env,
        providerTimeoutMs: 1000,
        providerLegacyDc: false,
        verbose: false,
      },
    });
  /** Why the RSA key failed, with a decoder that is this script. */
  const problem = async (script: string) => {
    const [result] = await tested(program(script), { keys: keys.keys.slice(0, 1), certificates: [] });
    return result?.problem;
  };

  test("tries each key through the decoder, and leaves nothing behind", async () => {
    const keyrings = [{ origin: "ring.gpg", data: new Uint8Array(), passphrases: [] }];
    expect(await tested(ours.command, { keyrings })).toEqual([
      { key: "ec.key", scheme: "jwe" },
      { key: "rsa.key", scheme: "jwe" },
      { key: "rsa.crt", scheme: "pkcs7" },
      { key: "ring.gpg", scheme: "pgp", untested: "its public key is unknown" },
    ]);
    expect(left()).toEqual([]);
  });

  test("reports a key that no recipient can be made of", async () => {
    const tokenKeys = [{ origin: "token.yaml", yaml: new Secret(new Uint8Array()) }];
    const path = join(keysPath, "token.yaml");
    expect(await tested(ours.command, { keys: [], certificates: [], tokenKeys })).toEqual([
      { key: "token.yaml", scheme: "pkcs11", problem: expect.stringContaining(path) },
    ]);
  });

  test("reports a decoder that yields another layer, or the layer and an error", async () => {
    expect(await problem("cat")).toBe("the decoder ended with exit code 0");
    expect(await problem("exit 3")).toBe("the decoder ended with exit code 3");
    expect(await problem(`'${ours.command}' "$@"; exit 1`)).toBe("the decoder ended with exit code 1");
    expect(await problem(`'${ours.command}' "$@"; exit 0`)).toBeUndefined();
  });

  test("reports what the decoder complains of", async () => {
    expect(await problem("echo ' no key ' >&2; exit 1")).toBe("no key");
    expect(await problem("printf '%03000d' 0 >&2; exit 1")).toBe("0".repeat(2000));
  });

  test("gives the decoder a small layer, as containerd does", async () => {
    expect(await problem("wc -c >&2; exit 1")).toBe("10000");
    expect(await problem('echo "$@ $STREAM_PROCESSOR_MEDIATYPE" >&2; exit 1')).toBe(
      `--decryption-keys-path ${keysPath} application/vnd.oci.image.layer.v1.tar+encrypted`,
    );
    const payload = Buffer.from((await problem("base64 <&3 >&2; exit 1")) ?? "", "base64").toString();
    // A google.protobuf.Any: field 1 is the type, and field 2 the value.
    expect(payload.startsWith(`\n${String.fromCharCode(PAYLOAD_TYPE.length)}${PAYLOAD_TYPE}\x12`)).toBe(true);
    expect(JSON.parse(payload.slice(payload.indexOf("{")))).toMatchObject({
      DecryptConfig: { Parameters: null },
      Descriptor: { size: 10_000 },
    });
  });

  test("reports a decoder that cannot run", async () => {
    expect(
      await tested(join(folder, "none"), { keys: keys.keys.slice(0, 1), certificates: [] }),
    ).toMatchObject([{ problem: expect.stringMatching(/^the decoder cannot run: .*no such file/) }]);
    expect(left()).toEqual([]);
  });

  test("is not disturbed if its temporary files are cleaned up meanwhile", async () => {
    expect(await problem('rm -rf "$TMPDIR"/*; echo gone >&2; exit 1')).toBe("gone");
  });

  test("needs a folder for temporary files", async () => {
    process.env["TMPDIR"] = join(folder, "none");
    await expect(tested(ours.command)).rejects.toMatchObject({
      code: "IO",
      message: expect.stringMatching(/^cannot make a folder in .*none: no such file/),
    });
    expect(existsSync(join(folder, "none"))).toBe(false);
  });
});
