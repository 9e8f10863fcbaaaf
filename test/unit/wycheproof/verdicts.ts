import { createHash, createHmac } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseLayerOptions, parsePublicOptions } from "../../../src/cipher/options.ts";
import { openInMemory } from "../../../src/cipher/release.ts";
import { DecoderError } from "../../../src/errors.ts";
import { parseJwks } from "../../../src/keys/jwk.ts";
import type { AsymmetricKey } from "../../../src/keys/keyset.ts";
import { parsePrivateKey } from "../../../src/keys/private-key.ts";
import { CekUnwrapper, unwrapAesKw } from "../../../src/keywrap/jwe/cek.ts";
import { decryptContent } from "../../../src/keywrap/jwe/content.ts";
import { contentAlgorithm, wrappedCek } from "../../../src/keywrap/jwe/recipient.ts";
import { unwrap } from "../../../src/keywrap/jwe/unwrap.ts";
import { PUBLIC_OPTIONS } from "../../../src/spec/annotations.ts";
import { aesKw, concatKdf, keySet, unwrapContext } from "../../support/jwe.ts";

/**
 * Wycheproof's vectors through our own functions. Free of vitest: the same runs on Node and on Bun, which the
 * executable has inside.
 */

/** accepted: right plaintext; rejected: our cryptography says no; refused: an algorithm, size or key we don't take. */
export type Verdict = "accepted" | "rejected" | "refused";

export interface Judged {
  readonly tcId: number;
  readonly comment: string;
  readonly result: "valid" | "invalid" | "acceptable";
  readonly verdict: Verdict;
}

// biome-ignore lint/suspicious/noExplicitAny: each file has a schema of its own
type Vector = any;
type Judge = (test: Vector, group: Vector) => Promise<Verdict>;

export const WYCHEPROOF = join(import.meta.dirname, "../../../../shared/wycheproof");

export const available = (): boolean => existsSync(WYCHEPROOF);

/** File → verdict of each of its vectors. */
export async function judgeAll(): Promise<Record<string, Judged[]>> {
  const all: Record<string, Judged[]> = {};
  for (const [name, judge] of JUDGES) {
    const file: Vector = JSON.parse(readFileSync(join(WYCHEPROOF, `${name}_test.json`), "utf8"));
    const judged: Judged[] = [];
    for (const group of file.testGroups) {
      for (const test of group.tests) {
        const { tcId, comment, result } = test;
        judged.push({ tcId, comment, result, verdict: await judge(test, group) });
      }
    }
    all[name] = judged;
  }
  return all;
}

const hex = (text: string) => new Uint8Array(Buffer.from(text, "hex"));
const same = (a: Uint8Array, b: Uint8Array) => Buffer.compare(a, b) === 0;
const verdictOf = (found: Uint8Array | null, wanted: Uint8Array): Verdict =>
  found !== null && same(found, wanted) ? "accepted" : "rejected";

/** What wrapped keys may be wrapped with, written down again: the code's own table is what is tested. */
const OFFERED = new Set(["RSA-OAEP", "RSA-OAEP-256", "ECDH-ES+A128KW", "ECDH-ES+A192KW", "ECDH-ES+A256KW"]);

function usableKeys(jwks: unknown): AsymmetricKey[] {
  const results = parseJwks(new TextEncoder().encode(JSON.stringify(jwks)), "vector") ?? [];
  return results.filter((result): result is AsymmetricKey => !("reason" in result));
}

function protectedHeader(jwe: unknown): Vector {
  try {
    const text = typeof jwe === "string" ? (jwe.split(".")[0] ?? "") : (jwe as Vector).protected;
    return JSON.parse(Buffer.from(text, "base64url").toString());
  } catch {
    return undefined;
  }
}

const judgeJwe: Judge = async (test, group) => {
  const keys = usableKeys(group.private);
  const header = protectedHeader(test.jwe);
  const offered =
    keys.length > 0 && (header === undefined || (OFFERED.has(header.alg) && header.zip === undefined));
  const packet = typeof test.jwe === "string" ? test.jwe : JSON.stringify(test.jwe);
  try {
    const opened = await unwrap(new TextEncoder().encode(packet), unwrapContext(keySet(...keys)));
    if (opened === null) return offered ? "rejected" : "refused";
    return verdictOf(opened.options.bytes, hex(test.pt ?? ""));
  } catch (error) {
    if (error instanceof DecoderError) return offered ? "rejected" : "refused";
    throw error;
  }
};

/** Signatures: none of their keys may unwrap anything, whatever is wrong with it, and a JWS is no packet. */
const judgeJws: Judge = async (test, group) => {
  const keys = usableKeys(group.private);
  const packet = typeof test.jws === "string" ? test.jws : JSON.stringify(test.jws);
  try {
    const opened = await unwrap(new TextEncoder().encode(packet), unwrapContext(keySet(...keys)));
    return opened === null ? "refused" : "accepted";
  } catch (error) {
    if (error instanceof DecoderError) return "refused";
    throw error;
  }
};

const judgeKeyWrap: Judge = async (test) => {
  try {
    return verdictOf(await unwrapAesKw(hex(test.key), hex(test.ct)), hex(test.msg));
  } catch {
    return "rejected";
  }
};

async function judgeContent(
  enc: string,
  cek: Uint8Array<ArrayBuffer>,
  parts: Vector,
  wanted: string,
): Promise<Verdict> {
  const jwe = { recipients: [{ header: { enc }, encryptedKey: new Uint8Array() }], ...parts };
  try {
    return verdictOf(await decryptContent(contentAlgorithm(jwe), cek, jwe), hex(wanted));
  } catch (error) {
    if (error instanceof DecoderError) return "refused";
    throw error;
  }
}

const judgeGcm: Judge = (test, group) => {
  const parts = {
    iv: hex(test.iv),
    ciphertext: hex(test.ct),
    tag: hex(test.tag),
    additionalData: hex(test.aad),
  };
  return judgeContent(`A${group.keySize}GCM`, hex(test.key), parts, test.msg);
};

/** The padding's verdict, behind a MAC that is right. */
const judgeCbc: Judge = (test, group) => {
  const [enc, hash] = {
    128: ["A128CBC-HS256", "sha256"],
    192: ["A192CBC-HS384", "sha384"],
    256: ["A256CBC-HS512", "sha512"],
  }[group.keySize as 128 | 192 | 256] as [string, string];
  const macKey = Buffer.alloc(group.keySize / 8, 7);
  const [iv, ciphertext, additionalData] = [hex(test.iv), hex(test.ct), new Uint8Array()];
  const mac = createHmac(hash, macKey).update(iv).update(ciphertext).update(Buffer.alloc(8)).digest();
  const tag = new Uint8Array(mac.subarray(0, macKey.length));
  const cek = new Uint8Array(Buffer.concat([macKey, hex(test.key)]));
  return judgeContent(enc, cek, { iv, ciphertext, tag, additionalData }, test.msg);
};

const OAEP_HASHES: ReadonlyMap<string, "SHA-1" | "SHA-256"> = new Map([
  ["SHA-1", "SHA-1"],
  ["SHA-256", "SHA-256"],
]);

const rsaKeys = new Map<string, ReturnType<typeof parsePrivateKey>>();
const unwrapper = new CekUnwrapper();

const judgeOaep: Judge = async (test, group) => {
  const hash = group.sha === group.mgfSha ? OAEP_HASHES.get(group.sha) : undefined;
  const pkcs8 = String(group.privateKeyPkcs8);
  const key = rsaKeys.get(pkcs8) ?? parsePrivateKey(hex(pkcs8), { origin: "vector" });
  rsaKeys.set(pkcs8, key);
  if (hash === undefined || key === null || "reason" in key || test.label !== "") return "refused";
  const wanted = hex(test.msg);
  const wrapped = { type: "rsa", hash, encryptedKey: hex(test.ct) } as const;
  return verdictOf(await unwrapper.unwrap(wrapped, key, wanted.length), wanted);
};

/** The shared secret's verdict: a content key wrapped with what the vector says is agreed on. */
const judgeEcdh: Judge = async (test) => {
  const [key] = usableKeys(test.private);
  if (key === undefined) return "refused";
  const alg = "ECDH-ES+A256KW";
  const cek = createHash("sha256").update(String(test.tcId)).digest();
  const kek = concatKdf(Buffer.from(test.shared, "hex"), alg, 256, {});
  const content = { keyBytes: 32, ivBytes: 12, tagBytes: 16 };
  const recipient = { header: { alg, epk: test.public }, encryptedKey: new Uint8Array(aesKw(kek, cek)) };
  const wrapped = wrappedCek(recipient, content);
  if ("reason" in wrapped || wrapped.type !== "ecdh" || key.type !== "ec" || key.curve !== wrapped.curve)
    return "rejected";
  return verdictOf(await new CekUnwrapper().unwrap(wrapped, key, 32), cek);
};

/** The layer's HMAC: key and tag of 32 bytes and no others. */
const judgeHmac: Judge = async (test) => {
  const base64 = (text: string) => Buffer.from(text, "hex").toString("base64");
  const encoded = (value: object) => Buffer.from(JSON.stringify(value));
  const nonce = Buffer.alloc(16).toString("base64");
  const open = { cipher: "AES_256_CTR_HMAC_SHA256", hmac: base64(test.tag), cipheroptions: { nonce } };
  try {
    const publicOptions = parsePublicOptions({ [PUBLIC_OPTIONS]: encoded(open).toString("base64") });
    const privateOptions = encoded({ symkey: base64(test.key) });
    const plaintext = await openInMemory(hex(test.msg), parseLayerOptions(publicOptions, privateOptions));
    return plaintext === null ? "rejected" : "accepted";
  } catch (error) {
    if (error instanceof DecoderError) return "refused";
    throw error;
  }
};

const JUDGES: ReadonlyMap<string, Judge> = new Map([
  ["json_web_encryption", judgeJwe],
  ["json_web_crypto", judgeJws],
  ["json_web_key", judgeJws],
  ["aes_wrap", judgeKeyWrap],
  ["aes_gcm", judgeGcm],
  ["aes_cbc_pkcs5", judgeCbc],
  ["rsa_oaep_2048_sha1_mgf1sha1", judgeOaep],
  ["rsa_oaep_2048_sha256_mgf1sha256", judgeOaep],
  ["rsa_oaep_3072_sha256_mgf1sha256", judgeOaep],
  ["rsa_oaep_4096_sha256_mgf1sha256", judgeOaep],
  ["rsa_oaep_misc", judgeOaep],
  ["ecdh_secp256r1_webcrypto", judgeEcdh],
  ["ecdh_secp384r1_webcrypto", judgeEcdh],
  ["ecdh_secp521r1_webcrypto", judgeEcdh],
  ["hmac_sha256", judgeHmac],
]);
