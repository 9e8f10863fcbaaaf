import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { PAYLOAD_TYPE } from "../../src/containerd/payload.ts";
import { TAG, writeElement, writeInteger, writeOid } from "../../src/encoding/der.ts";
import { decode } from "../support/decoder.ts";
import { b64u } from "../support/jwe.ts";
import { plainBytes } from "../support/layer.ts";
import { any, payload } from "../support/payload.ts";
import { describeWith, ours } from "../support/peers.ts";
import { rsaPair } from "../support/rsa.ts";
import { expectMessage, JWE, seal } from "../support/sealed.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { OID, SET } from "../unit/keywrap/pkcs7/packets.ts";

/** Far more than any of these take, and less than an attack would: a decoder that runs longer is killed and fails. */
const SECONDS = 240;

describeWith([ours], "work that somebody else chose is bounded:", {}, () => {
  const folder = temporaryFolder();
  const ec = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const rsa = rsaPair(2048);
  const pem = (key: { readonly privateKey: KeyObject }) =>
    key.privateKey.export({ type: "pkcs8", format: "pem" });
  const one = join(folder, "one");
  mkdirSync(one);
  writeFileSync(join(one, "ec.pem"), pem(ec));
  writeFileSync(join(one, "rsa.pem"), pem(rsa));
  const layer = seal(plainBytes(100), ec.publicKey);
  let calls = 0;

  async function run(keys: string, payloadBytes: Uint8Array) {
    const log = join(folder, `audit-${calls++}`);
    const args = ["--decryption-keys-path", keys, "--audit-log", log];
    const result = await decode(ours, {
      layer: layer.ciphertext,
      payload: payloadBytes,
      args,
      timeoutMs: SECONDS * 1000,
    });
    expect(result.signal).toBeNull();
    return { ...result, verdict: JSON.parse(readFileSync(log, "utf8")).verdict as string };
  }

  const withAnnotations = (annotations: Readonly<Record<string, string>>) =>
    payload({ ...layer.descriptor, annotations: { ...layer.descriptor.annotations, ...annotations } });
  const jwe = (header: object, recipients: readonly object[]) =>
    Buffer.from(
      JSON.stringify({
        protected: b64u(JSON.stringify({ enc: "A256GCM", ...header })),
        recipients,
        iv: b64u(Buffer.alloc(12)),
        ciphertext: "AAAA",
        tag: b64u(Buffer.alloc(16)),
      }),
    ).toString("base64");

  async function expectVerdict(
    verdict: string,
    annotations: Readonly<Record<string, string>>,
    keys = one,
  ): Promise<void> {
    const result = await run(keys, withAnnotations(annotations));
    expect({ verdict: result.verdict, exit: result.exit, out: result.stdout.length }).toEqual({
      verdict,
      exit: 1,
      out: 0,
    });
    expectMessage(result.stderr, /./);
  }

  const point = () => {
    const epk = generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey.export({ format: "jwk" });
    return { header: { alg: "ECDH-ES+A256KW", epk }, encrypted_key: b64u(Buffer.alloc(40)) };
  };
  const points = Array.from({ length: 9000 }, point);

  test("9,000 recipients", () => expectVerdict("LIMIT", { [JWE]: jwe({}, points) }));

  test("7,500 recipients by RSA", () =>
    expectVerdict("LIMIT", {
      [JWE]: jwe(
        {},
        Array.from({ length: 7500 }, (_, i) => ({
          header: { alg: "RSA-OAEP" },
          encrypted_key: b64u(Buffer.alloc(256, i % 100)),
        })),
      ),
    }));

  test("9,000 recipients and 1,100 keys", async () => {
    const many = join(folder, "many");
    mkdirSync(many);
    const keys = Array.from({ length: 100 }, () => pem(generateKeyPairSync("ec", { namedCurve: "P-256" })));
    for (let i = 0; i < 1100; i++) writeFileSync(join(many, `${i}.pem`), keys[i % keys.length] ?? "");
    await expectVerdict("LIMIT", { [JWE]: jwe({}, points) }, many);
  });

  test("60,000 header parameters for 60,000 recipients", () => {
    const header = Object.fromEntries(Array.from({ length: 60_000 }, (_, i) => [`a${i}`, 1]));
    return expectVerdict("BAD_PACKET", { [JWE]: jwe(header, Array(60_000).fill({ encrypted_key: "" })) });
  });

  test("100,000 empty recipients", () =>
    expectVerdict("NO_KEY", { [JWE]: jwe({}, Array(100_000).fill({ encrypted_key: "" })) }));

  test("2,000 recipients of PKCS#7", () => {
    const recipient = (i: number) =>
      writeElement(
        TAG.SEQUENCE,
        writeInteger(Uint8Array.of(0)),
        writeElement(
          TAG.SEQUENCE,
          writeElement(TAG.SEQUENCE),
          writeInteger(Uint8Array.of(1, i >> 8, i & 255)),
        ),
        writeElement(TAG.SEQUENCE, writeOid(OID.rsaEncryption)),
        writeElement(TAG.OCTET_STRING, Buffer.alloc(256, i % 100)),
      );
    const parameters = writeElement(
      TAG.SEQUENCE,
      writeElement(TAG.OCTET_STRING, Buffer.alloc(12)),
      writeInteger(Uint8Array.of(16)),
    );
    const content = writeElement(
      TAG.SEQUENCE,
      writeOid(OID.data),
      writeElement(TAG.SEQUENCE, writeOid(OID.aes128Gcm), parameters),
      writeElement(0x80, Buffer.alloc(200)),
    );
    const recipients = writeElement(SET, ...Array.from({ length: 2000 }, (_, i) => recipient(i)));
    const data = writeElement(TAG.SEQUENCE, writeInteger(Uint8Array.of(0)), recipients, content);
    const packet = writeElement(TAG.SEQUENCE, writeOid(OID.envelopedData), writeElement(TAG.CONTEXT_0, data));
    const { [JWE]: _, ...annotations } = layer.descriptor.annotations;
    const pkcs7 = {
      ...annotations,
      "org.opencontainers.image.enc.keys.pkcs7": Buffer.from(packet).toString("base64"),
    };
    return run(one, payload({ ...layer.descriptor, annotations: pkcs7 })).then(({ verdict }) =>
      expect(verdict).toBe("NO_KEY"),
    );
  });

  test("an annotation of more than 4 MiB", () =>
    expectVerdict("LIMIT", { [JWE]: "A".repeat(4 * 1024 * 1024 + 4) }));

  test("a payload of 16 MiB of lists in lists", async () => {
    const { exit, stderr } = await run(one, any(PAYLOAD_TYPE, Buffer.alloc(15 * 1024 * 1024, "[")));
    expect(exit).toBe(1);
    expect(stderr).toMatch(/is not a JSON object/);
  });

  test("a payload of millions of fields", async () => {
    const { exit } = await run(
      one,
      Buffer.concat([Buffer.alloc(8_000_000, Buffer.of(0x1a, 0)), payload(layer.descriptor)]),
    );
    expect(exit).toBe(0);
  });

  test("a payload of more than 16 MiB", async () => {
    expect((await run(one, Buffer.alloc(16 * 1024 * 1024 + 1))).verdict).toBe("LIMIT");
  });

  test("100,000 annotations", async () => {
    const annotations = Object.fromEntries(Array.from({ length: 100_000 }, (_, i) => [`a${i}`, ""]));
    expect((await run(one, withAnnotations(annotations))).exit).toBe(0);
  });

  describe("keys:", () => {
    test("more than 1,024 files are not read", async () => {
      const keys = join(folder, "files");
      mkdirSync(keys);
      for (let i = 0; i < 1024; i++) writeFileSync(join(keys, `${String(i).padStart(5, "0")}`), "no key");
      writeFileSync(join(keys, "99999"), pem(ec));
      const { verdict, stderr } = await run(keys, payload(layer.descriptor));
      expect(verdict).toBe("NO_KEY");
      expect(stderr).toMatch(/^ctd-decoder: error: [^\n]{1,4100}\n/);
    });

    test("a file that is larger than any key", async () => {
      const keys = join(folder, "large");
      mkdirSync(keys);
      writeFileSync(join(keys, "a"), Buffer.alloc(1024 * 1024 + 1, "a"));
      writeFileSync(join(keys, "node.pem"), pem(ec));
      expect((await run(keys, payload(layer.descriptor))).exit).toBe(0);
    });

    test("500 keys of ten million iterations each", async () => {
      const [keys, passwords] = ["iterations", "passwords"].map((name) => join(folder, name)) as [
        string,
        string,
      ];
      for (const path of [keys, passwords]) mkdirSync(path);
      const pbkdf2 = writeElement(
        TAG.SEQUENCE,
        writeElement(TAG.OCTET_STRING, Buffer.alloc(8)),
        writeInteger(Buffer.from("989680", "hex")),
      );
      const parameters = writeElement(
        TAG.SEQUENCE,
        writeElement(TAG.SEQUENCE, writeOid("2a864886f70d01050c"), pbkdf2),
        writeElement(
          TAG.SEQUENCE,
          writeOid("60864801650304012a"),
          writeElement(TAG.OCTET_STRING, Buffer.alloc(16)),
        ),
      );
      const encrypted = writeElement(
        TAG.SEQUENCE,
        writeElement(TAG.SEQUENCE, writeOid("2a864886f70d01050d"), parameters),
        writeElement(TAG.OCTET_STRING, Buffer.alloc(32)),
      );
      for (let i = 0; i < 500; i++) {
        writeFileSync(join(keys, `${i}`), encrypted);
        writeFileSync(join(passwords, `${i}`), "password");
      }
      writeFileSync(join(keys, "node.pem"), pem(ec));
      const args = ["--decryption-keys-path", keys, "--key-passwords-path", passwords];
      const call = {
        layer: layer.ciphertext,
        payload: payload(layer.descriptor),
        timeoutMs: SECONDS * 1000,
      };
      expect(await decode(ours, { ...call, args })).toMatchObject({ exit: 0, signal: null });
    });

    test("1 MiB of PEM lines without an end", async () => {
      const keys = join(folder, "pem");
      mkdirSync(keys);
      for (let i = 0; i < 20; i++)
        writeFileSync(join(keys, `${i}`), "-----BEGIN PRIVATE KEY-----\n".repeat(37_000));
      expect((await run(keys, payload(layer.descriptor))).verdict).toBe("NO_KEY");
    });
  });
});
