import { copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test, vi } from "vitest";
import type { Descriptor } from "../../src/spec/descriptor.ts";
import { type DecoderCall, decode } from "../support/decoder.ts";
import { copyImage, layersOf, readBlob, sha256, tar, writeImage } from "../support/images.ts";
import { payload } from "../support/payload.ts";
import { describeWith, goDecoder, ours, output, type Peer, skopeoNew } from "../support/peers.ts";
import { temporaryFolder } from "../support/temporary.ts";
import {
  keyFile,
  NSS,
  nssToken,
  policyFile,
  SOFTHSM,
  shim,
  softhsmToken,
  type TestToken,
  WRONG_PIN,
} from "../support/tokens.ts";

const folder = temporaryFolder();
const plain = join(folder, "plain");
/** This machine's policy, which allows the modules of the tests' tokens. */
const policy = join(folder, "ocicrypt.conf");

/** A key on a token. `hash` is what the token can do and the key has room for. */
const KEYS = [
  { name: "softhsm-2048", hash: "sha1" },
  { name: "softhsm-3072", hash: "sha1" },
  { name: "nss-3072", hash: "sha256" },
] as const;

/** The key file of that name, alone in its folder. */
const keyPath = (name: string) => join(folder, "keys", name, "key.yaml");
const plainDigest = () => layersOf(plain, "plain")[0]?.digest;

function writeKeyFile(name: string, yaml: string): void {
  mkdirSync(join(folder, "keys", name), { recursive: true });
  writeFileSync(keyPath(name), yaml);
}

function layerOf(layout: string, tag: string): Descriptor {
  const [layer] = layersOf(layout, tag);
  if (layer === undefined) throw new Error(`no layer in ${tag}`);
  return layer;
}

/** The plaintext's digest, or the message; the key file and the policy come in the payload, as a client passes them. */
async function openWithPayload(decoder: Peer, layout: string, tag: string, key: string): Promise<string> {
  const layer = layerOf(layout, tag);
  const { pkcs11: lists } = JSON.parse(readFileSync(policy, "utf8"));
  const { exit, stdout, stderr } = await decode(decoder, {
    layer: readBlob(layout, layer),
    payload: payload(layer, {
      "pkcs11-yamls": [readFileSync(keyPath(key))],
      "pkcs11-config": [JSON.stringify(lists)],
    }),
    mediaType: layer.mediaType,
  });
  return exit === 0 ? sha256(stdout) : stderr;
}

/** Our decoder, with the key file in the keys folder and this machine's policy. */
async function openWithFolder(
  layout: string,
  tag: string,
  key: string,
  { env, ...call }: Partial<DecoderCall> = {},
) {
  const layer = layerOf(layout, tag);
  return await decode(ours, {
    layer: readBlob(layout, layer),
    payload: payload(layer),
    mediaType: layer.mediaType,
    args: ["--decryption-keys-path", join(folder, "keys", key)],
    env: { OCICRYPT_CONFIG: policy, ...env },
    ...call,
  });
}

describeWith([...SOFTHSM, ...NSS, ours, goDecoder, skopeoNew], "PKCS#11", {}, () => {
  let softhsm: TestToken;

  beforeAll(async () => {
    const content = { "bin/tool": Buffer.alloc(50_000, "tool") };
    writeImage(plain, "plain", [{ tar: await tar(content), compression: "gzip" }]);
    softhsm = await softhsmToken(join(folder, "softhsm"), "interop", { small: 2048, large: 3072 });
    const nss = await nssToken(join(folder, "softokn"), "key", 3072);
    policyFile(policy, [softhsm.module, nss.module]);
    writeKeyFile("softhsm-2048", keyFile(softhsm, "small"));
    writeKeyFile("softhsm-3072", keyFile(softhsm, "large"));
    writeKeyFile("nss-3072", keyFile(nss, "key"));
  });

  describe("what skopeo wrapped through a token", () => {
    const layout = join(folder, "skopeo");

    beforeAll(async () => {
      for (const { name, hash } of KEYS) {
        await copyImage(skopeoNew, `oci:${plain}:plain`, `oci:${layout}:${name}`, {
          recipients: [`pkcs11:${keyPath(name)}`],
          env: { OCICRYPT_CONFIG: policy, OCICRYPT_OAEP_HASHALG: hash },
        });
      }
    });

    test.each(KEYS)("opens with the key file in the payload: $name", async ({ name }) => {
      expect(await openWithPayload(ours, layout, name, name)).toBe(plainDigest());
    });

    test.each(KEYS)("opens with the key file in the keys folder: $name", async ({ name }) => {
      const { stdout } = await openWithFolder(layout, name, name);
      expect(sha256(stdout)).toBe(plainDigest());
    });
  });

  describe("what our encrypt wrapped", () => {
    const layout = join(folder, "ours");

    async function encrypt(tag: string, recipients: readonly string[], hash: string): Promise<void> {
      const options = recipients.flatMap((file) => ["--recipient", `pkcs11:${file}`]);
      await output(ours, ["encrypt", ...options, `oci:${plain}:plain`, `oci:${layout}:${tag}`], {
        env: { ...process.env, OCICRYPT_CONFIG: policy, OCICRYPT_OAEP_HASHALG: hash },
      });
    }

    beforeAll(async () => {
      for (const { name, hash } of KEYS) await encrypt(name, [keyPath(name)], hash);
      const files = [...softhsm.publicKeys].map(([name, key]) => {
        const file = join(folder, `${name}.pem`);
        writeFileSync(file, key.export({ type: "spki", format: "pem" }));
        return file;
      });
      await encrypt("public-keys", files, "sha1");
    });

    test.each(KEYS)("opens with Go's decoder: $name", async ({ name }) => {
      expect(await openWithPayload(goDecoder, layout, name, name)).toBe(plainDigest());
    });

    test.each(KEYS)("opens with our decoder: $name", async ({ name }) => {
      expect(await openWithPayload(ours, layout, name, name)).toBe(plainDigest());
    });

    test.each(KEYS)("opens with skopeo: $name", async ({ name, hash }) => {
      const opened = join(folder, "opened");
      await copyImage(skopeoNew, `oci:${layout}:${name}`, `oci:${opened}:${name}`, {
        keys: [keyPath(name)],
        env: { OCICRYPT_CONFIG: policy, OCICRYPT_OAEP_HASHALG: hash },
      });
      expect(layerOf(opened, name).digest).toBe(plainDigest());
    });

    test.each(["softhsm-2048", "softhsm-3072"])(
      "for public keys in files opens with each key: %s",
      async (name) => {
        expect(await openWithPayload(goDecoder, layout, "public-keys", name)).toBe(plainDigest());
        expect(await openWithPayload(ours, layout, "public-keys", name)).toBe(plainDigest());
      },
    );
  });

  describe("our executable", () => {
    const layout = join(folder, "executable");
    const key = "softhsm-2048";
    const refused = { exit: 1, signal: null, stdout: Buffer.alloc(0) };

    beforeAll(async () => {
      await copyImage(skopeoNew, `oci:${plain}:plain`, `oci:${layout}:small`, {
        recipients: [`pkcs11:${keyPath(key)}`],
        env: { OCICRYPT_CONFIG: policy, OCICRYPT_OAEP_HASHALG: "sha1" },
      });
    });

    test("tells what a token refused, and not the PIN", async () => {
      writeKeyFile("wrong", keyFile(softhsm, "small", { pin: WRONG_PIN }));
      const result = await openWithFolder(layout, "small", "wrong");
      expect(result).toMatchObject(refused);
      expect(result.stderr).toMatch(/key\.yaml: the token "interop" refused the login: CKR_PIN_INCORRECT/);
      expect(result.stderr).not.toContain(WRONG_PIN);
    });

    test("takes neither a policy nor a part of itself from the working directory", async () => {
      const cwd = join(folder, "cwd");
      for (const name of ["build/Release", "etc", ".config"]) mkdirSync(join(cwd, name), { recursive: true });
      const { module } = await shim(cwd, softhsm.module);
      copyFileSync(module, join(cwd, "build/Release/pkcs11.node"));
      for (const name of ["etc", ".config", "."]) copyFileSync(policy, join(cwd, name, "ocicrypt.conf"));

      expect(await openWithFolder(layout, "small", key, { cwd })).toMatchObject({ exit: 0 });
      for (const OCICRYPT_CONFIG of ["", "ocicrypt.conf", "./ocicrypt.conf"]) {
        const env = { OCICRYPT_CONFIG, HOME: "." };
        const result = await openWithFolder(layout, "small", key, { cwd, env });
        expect(result).toMatchObject(refused);
        expect(result.stderr).toContain("OCICRYPT_CONFIG");
      }
    });

    test("tells when its native part can't be loaded", async () => {
      const result = await openWithFolder(layout, "small", key, { env: { TMPDIR: "/proc" } });
      expect(result).toMatchObject(refused);
      expect(result.stderr).toMatch(/needs glibc and a TMPDIR/);
    });

    describe("with a module", () => {
      let token: TestToken;
      beforeAll(async () => {
        const { module, environment } = await shim(join(folder, "softhsm"), softhsm.module);
        token = { ...softhsm, module, environment: { ...softhsm.environment, ...environment } };
      });

      /** Through the shim, which does as the environment says. */
      function openWith(
        name: string,
        environment: Readonly<Record<string, string>>,
        call: Partial<DecoderCall> = {},
      ) {
        writeKeyFile(name, keyFile(token, "small", { environment }));
        const config = policyFile(join(folder, `${name}.conf`), [token.module]);
        return openWithFolder(layout, "small", name, { ...call, env: { OCICRYPT_CONFIG: config } });
      }

      test("that prints keeps that out of the layer", async () => {
        const { stdout, stderr } = await openWith("noise", { SHIM_NOISE: "1" });
        expect({ digest: sha256(stdout), stderr }).toEqual({ digest: plainDigest(), stderr: "" });
      });

      test("that prints is heard with --verbose, on stderr alone", async () => {
        const args = ["--decryption-keys-path", join(folder, "keys/heard"), "--verbose"];
        const { stdout, stderr } = await openWith("heard", { SHIM_NOISE: "1" }, { args });
        expect(sha256(stdout)).toBe(plainDigest());
        expect(stderr).toMatch(/^stderr noise of C_Initialize$/m);
      });

      test("that crashes tells so", async () => {
        const result = await openWith("crash", { SHIM_CRASH: "C_Decrypt" });
        expect(result).toMatchObject(refused);
        expect(result.stderr).toMatch(/pkcs11-shim\.so crashed \(SIGABRT\)/);
      });

      test("that hangs leaves no process behind when the decoder is killed", async () => {
        const log = join(folder, "hang.log");
        const environment = { SHIM_HANG: "C_Login", SHIM_LOG: log };
        const killAfter = vi.waitFor(
          () => expect(readFileSync(log, "utf8")).toBe("C_Initialize\nC_Login\n"),
          30_000,
        );
        const result = await openWith("hang", environment, { killAfter });
        await killAfter;
        expect(result).toMatchObject({ signal: "SIGKILL", stdout: Buffer.alloc(0) });
        await vi.waitFor(() => expect(processesWith(log)).toEqual([]), 10_000);
      });
    });
  });
});

/** The processes whose environment holds a text. */
function processesWith(text: string): string[] {
  return readdirSync("/proc").filter((pid) => {
    if (!/^\d+$/.test(pid)) return false;
    try {
      return readFileSync(`/proc/${pid}/environ`, "latin1").includes(text);
    } catch {
      return false;
    }
  });
}
