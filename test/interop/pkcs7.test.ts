import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { decodeBase64 } from "../../src/encoding/base64.ts";
import { loadKeys } from "../../src/keys/load.ts";
import { unwrap } from "../../src/keywrap/pkcs7/unwrap.ts";
import type { Attempt } from "../../src/keywrap/scheme.ts";
import { KEYS_PREFIX } from "../../src/spec/annotations.ts";
import { decode } from "../support/decoder.ts";
import { decodedDiffIds, diffIds } from "../support/diff-ids.ts";
import { copyImage, layersOf, readBlob, sha256, tar, writeImage } from "../support/images.ts";
import { payload } from "../support/payload.ts";
import { describeWith, goDecoder, openssl, ours, output, skopeo, skopeoNew } from "../support/peers.ts";
import { temporaryFolder } from "../support/temporary.ts";

const folder = temporaryFolder();
const plain = join(folder, "plain");
const SYMKEY = Buffer.alloc(32, 7).toString("base64");
const OPTIONS = Buffer.from(`{"symkey":"${SYMKEY}","cipheroptions":{"nonce":"bm9uY2U="}}`);

const SELF_SIGNED = ["-x509", "-newkey"];
/** What each holder's key and certificate are made of: `openssl req` arguments. */
const HOLDERS = {
  "self-signed": [...SELF_SIGNED, "rsa:2048", "-subj", "/CN=self"],
  "long-name": [...SELF_SIGNED, "rsa:3072", "-utf8", "-subj", "/C=DE/O=Bäcker, Söhne/OU=a+b/OU=c/CN=node"],
  issued: ["-newkey", "rsa:4096", "-subj", "/CN=issued"],
} as const;
type HolderName = keyof typeof HOLDERS;
const NAMES = Object.keys(HOLDERS) as HolderName[];

const folderOf = (name: string) => join(folder, "holders", name);
const certificateOf = (name: string) => join(folderOf(name), "cert.pem");
const keyOf = (name: string) => join(folderOf(name), "key.pem");

async function makeHolder(name: string, request: readonly string[]): Promise<void> {
  mkdirSync(folderOf(name), { recursive: true });
  const files = ["-nodes", "-keyout", keyOf(name), "-out", certificateOf(name)];
  await output(openssl, ["req", ...request, ...files]);
  if (request.includes("-x509")) return;
  const csr = join(folder, `${name}.csr`);
  writeFileSync(csr, readFileSync(certificateOf(name)));
  const authority = ["-CA", certificateOf("long-name"), "-CAkey", keyOf("long-name"), "-set_serial", "42"];
  const extensions = join(folder, "extensions.cnf");
  writeFileSync(extensions, "subjectKeyIdentifier=0102030405060708\nbasicConstraints=critical,CA:false\n");
  await output(openssl, [
    ...["x509", "-req", "-in", csr, "-extfile", extensions],
    ...authority,
    ...["-out", certificateOf(name)],
  ]);
}

beforeAll(async () => {
  if (openssl.absent) return;
  for (const name of NAMES) await makeHolder(name, HOLDERS[name]);
  await makeHolder("stranger", [...SELF_SIGNED, "rsa:2048", "-subj", "/CN=stranger"]);
  writeImage(plain, "plain", [
    { tar: await tar({ "bin/tool": Buffer.alloc(100_000, "tool") }), compression: "gzip" },
    { tar: await tar({ "readme.txt": Buffer.from("a second layer, not compressed") }), compression: "none" },
  ]);
});

/** Opens a packet with a folder of keys, and counts the private-key operations that it took. */
async function open(packet: Uint8Array, keysPath: string) {
  const attempts: Attempt[] = [];
  let operations = 0;
  const opened = await unwrap(new Uint8Array(packet), {
    keys: await loadKeys({ keysPath, strictKeys: false, allowExternalSymlinks: false }),
    settings: { environment: {}, providerTimeoutMs: 0, providerLegacyDc: false, verbose: false },
    name: "",
    record: (attempt) => attempts.push(attempt),
    spend: () => {
      operations++;
    },
  });
  const options = opened && Buffer.from(opened.options.bytes).toString();
  return { options, recipient: opened?.recipient, operations, attempts };
}

describeWith([openssl], "packets by openssl open with our code", {}, () => {
  const encrypt = (args: readonly string[], ...to: HolderName[]) =>
    output(
      openssl,
      ["cms", "-encrypt", "-binary", ...args, ...to.flatMap((name) => ["-recip", certificateOf(name)])],
      { input: OPTIONS },
    );
  const oaep = (md: string) => ["-keyopt", "rsa_padding_mode:oaep", "-keyopt", `rsa_oaep_md:${md}`];

  const ciphers = ["-aes-128-gcm", "-aes-192-gcm", "-aes-256-gcm"];
  const outputs = [
    ["-outform", "DER"],
    ["-outform", "DER", "-stream"],
    ["-outform", "PEM"],
  ];
  const cases = ciphers.flatMap((cipher) => outputs.map((form) => ({ args: [cipher, ...form] })));

  describe.each(cases)("$args", ({ args }) => {
    test.each([
      { by: [], recipient: /^rsaEncryption issuer .*CN=(self|node),?.* serial [0-9a-f]+$/ },
      { by: ["-keyid"], recipient: /^rsaEncryption key id [0-9a-f]{16,40}$/ },
    ])("recipient by $by", async ({ by, recipient }) => {
      for (const name of NAMES) {
        const packet = await encrypt([...args, ...by], name);
        expect(await open(packet, folderOf(name))).toMatchObject({
          options: OPTIONS.toString(),
          recipient: expect.stringMatching(recipient),
          operations: 1,
        });
      }
    });
  });

  test.each(["sha1", "sha256", "sha384", "sha512"])("RSA-OAEP with %s", async (md) => {
    // -keyopt is about the -recip before it.
    const recipient = ["-recip", certificateOf("issued"), ...oaep(md)];
    const packet = await encrypt(["-aes-256-gcm", "-outform", "DER", ...recipient]);
    expect(await open(packet, folderOf("issued"))).toMatchObject({
      options: OPTIONS.toString(),
      operations: 1,
    });
  });

  test("RSA-OAEP with two hashes is told to be unsupported", async () => {
    const recipient = ["-recip", certificateOf("issued"), ...oaep("sha256"), "-keyopt", "rsa_mgf1_md:sha1"];
    const packet = await encrypt(["-aes-256-gcm", "-outform", "DER", ...recipient]);
    expect(await open(packet, folderOf("issued"))).toMatchObject({
      options: null,
      operations: 0,
      attempts: [{ recipient: expect.stringMatching(/^RSAES-OAEP with hash sha256/) }],
    });
  });

  test("several recipients, each with a certificate and without one", async () => {
    const packet = await encrypt(["-aes-256-gcm", "-outform", "DER"], ...NAMES);
    for (const name of NAMES) {
      for (const path of [folderOf(name), keyOf(name)]) {
        expect(await open(packet, path)).toMatchObject({ options: OPTIONS.toString(), operations: 1 });
      }
    }
    const { options, operations } = await open(packet, folderOf("stranger"));
    expect(options).toBeNull();
    // None where the ciphertexts happen to be no smaller than the stranger's modulus.
    expect(operations).toBeLessThanOrEqual(1);
  });

  test.each(["-aes-128-cbc", "-aes-192-cbc", "-aes-256-cbc"])("%s, openssl's usual kind", async (cipher) => {
    const packet = await encrypt([cipher, "-outform", "DER"], "self-signed");
    expect(await open(packet, folderOf("self-signed"))).toMatchObject({
      options: OPTIONS.toString(),
      operations: 1,
    });
    expect(await open(packet, folderOf("stranger"))).toMatchObject({ options: null });
  });

  test("3DES is refused", async () => {
    const packet = await encrypt(["-des3", "-outform", "DER"], "self-signed");
    await expect(open(packet, folderOf("self-signed"))).rejects.toMatchObject({
      code: "BAD_PACKET",
      message: expect.stringContaining("outdated"),
    });
  });
});

for (const tool of [skopeo, skopeoNew]) {
  describeWith([tool, openssl], `layers encrypted by ${tool.name}`, {}, () => {
    const encrypted = join(folder, `by-${tool.name}`);

    beforeAll(async () => {
      for (const [tag, names] of Object.entries({ all: NAMES, one: ["self-signed"] })) {
        const recipients = names.map((name) => `pkcs7:${certificateOf(name)}`);
        await copyImage(tool, `oci:${plain}:plain`, `oci:${encrypted}:${tag}`, { recipients });
      }
    });

    test.each(NAMES)("open with our code: %s, with its certificate and without", async (name) => {
      for (const layer of layersOf(encrypted, "all")) {
        const packet = decodeBase64(layer.annotations?.[`${KEYS_PREFIX}pkcs7`] ?? "") ?? new Uint8Array();
        for (const path of [folderOf(name), keyOf(name)]) {
          const { options, operations } = await open(packet, path);
          expect(JSON.parse(options ?? "")).toHaveProperty("symkey");
          expect(operations).toBe(1);
        }
      }
    });

    describeWith([ours], "open with our decoder", {}, () => {
      test.each(NAMES)("%s", async (name) => {
        expect(await decodedDiffIds(ours, encrypted, "all", folderOf(name))).toEqual(diffIds(plain, "plain"));
      });

      test("certificate and key come in the payload", async () => {
        const [layer] = layersOf(encrypted, "one");
        if (!layer) throw new Error("no layer");
        const result = await decode(ours, {
          layer: readBlob(encrypted, layer),
          payload: payload(layer, {
            privkeys: [readFileSync(keyOf("self-signed"))],
            "privkeys-passwords": [null],
            x509s: [readFileSync(certificateOf("self-signed"))],
          }),
        });
        expect(sha256(result.stdout)).toBe(layersOf(plain, "plain")[0]?.digest);
      });

      test("a stranger's key: no output, and a message that names the recipients", async () => {
        for (const layer of layersOf(encrypted, "one")) {
          const result = await decode(ours, {
            layer: readBlob(encrypted, layer),
            payload: payload(layer),
            args: ["--decryption-keys-path", folderOf("stranger")],
          });
          expect(result).toMatchObject({ exit: 1, stdout: Buffer.alloc(0) });
          expect(result.stderr).toMatch(/rsaEncryption issuer CN=self serial [0-9a-f]{40}/);
        }
      });
    });
  });
}

describeWith([ours, goDecoder, openssl], "images by our encrypt open with the peers", {}, () => {
  const encrypted = join(folder, "by-us");

  beforeAll(async () => {
    for (const [tag, names] of Object.entries({ all: NAMES, one: ["long-name"] })) {
      const options = names.flatMap((name) => ["--recipient", `pkcs7:${certificateOf(name)}`]);
      await output(ours, [
        "encrypt",
        "--allow-ca",
        ...options,
        `oci:${plain}:plain`,
        `oci:${encrypted}:${tag}`,
      ]);
    }
  });

  test.each(NAMES)("Go's decoder: %s among all", async (name) => {
    expect(await decodedDiffIds(goDecoder, encrypted, "all", folderOf(name))).toEqual(
      diffIds(plain, "plain"),
    );
  });

  test("Go's decoder: alone", async () => {
    const opened = await decodedDiffIds(goDecoder, encrypted, "one", folderOf("long-name"));
    expect(opened).toEqual(diffIds(plain, "plain"));
  });

  for (const tool of [skopeo, skopeoNew]) {
    describeWith([tool], tool.name, {}, () => {
      test.each(NAMES)("%s", async (name) => {
        const opened = join(folder, `opened-by-${tool.name}`);
        await copyImage(tool, `oci:${encrypted}:all`, `oci:${opened}:${name}`, {
          keys: [certificateOf(name), keyOf(name)],
        });
        expect(diffIds(opened, name)).toEqual(diffIds(plain, "plain"));
      });
    });
  }
});
