import { createCipheriv, createDecipheriv, createHash, pbkdf2, randomBytes, scrypt } from "node:crypto";
import { promisify } from "node:util";
import type { PieceBudget } from "../budget.ts";
import { type Bytes, concat } from "../encoding/bytes.ts";
import {
  type DerElement,
  readChildren,
  readOid,
  readSequence,
  readSmallInteger,
  TAG,
  writeElement,
  writeInteger,
  writeOid,
} from "../encoding/der.ts";
import type { PemBlock } from "../encoding/pem.ts";
import * as LIMITS from "../limits.ts";
import type { Secret } from "../secret.ts";
import type { Unusable } from "./keyset.ts";

/** Encrypted private keys: PKCS#8 with PBES2 (RFC 8018 §6.2), and OpenSSL's traditional encrypted PEM. */

/** The decrypted DER, or the reason for failure. A wrong password usually causes bad padding, and rarely garbage. */
export type Decrypted = Bytes | Unusable;

/** The passwords to try, and the processor time that all keys together may take for it. */
export interface Attempts {
  readonly passwords: readonly Secret[];
  readonly budget: PieceBudget;
}

export const NO_PASSWORD: Unusable = { reason: "an encrypted key without a password for it", isLocked: true };
const WRONG_PASSWORD: Unusable = {
  reason: "an encrypted key that none of the given passwords opens",
  isLocked: true,
};
const TOO_LONG: Unusable = {
  reason: `an encrypted key that was not tried: the keys before it took ${LIMITS.keyDerivationCpuMs / 1000} s of processor time`,
};

export const PBES2 = "2a864886f70d01050d";
const PBKDF2 = "2a864886f70d01050c";
const SCRYPT = "2b06010401da47040b";

interface BlockCipher {
  readonly name: string;
  readonly keyBytes: number;
  readonly ivBytes: number;
}

const AES_128: BlockCipher = { name: "aes-128-cbc", keyBytes: 16, ivBytes: 16 };
const AES_192: BlockCipher = { name: "aes-192-cbc", keyBytes: 24, ivBytes: 16 };
const AES_256: BlockCipher = { name: "aes-256-cbc", keyBytes: 32, ivBytes: 16 };
export const TRIPLE_DES: BlockCipher = { name: "des-ede3-cbc", keyBytes: 24, ivBytes: 8 };

/** RFC 8018 B.2.2 and B.2.5. Old keys still use 3DES. */
const CIPHERS: ReadonlyMap<string, BlockCipher> = new Map([
  ["60864801650304012a", AES_256],
  ["608648016503040116", AES_192],
  ["608648016503040102", AES_128],
  ["2a864886f70d0307", TRIPLE_DES],
]);

/** RFC 8018 B.1.2. */
const PRFS: ReadonlyMap<string, string> = new Map([
  ["2a864886f70d0207", "sha1"],
  ["2a864886f70d0208", "sha224"],
  ["2a864886f70d0209", "sha256"],
  ["2a864886f70d020a", "sha384"],
  ["2a864886f70d020b", "sha512"],
]);

/** Names in the DEK-Info header of a traditional PEM key. */
const DEK_CIPHERS: ReadonlyMap<string, BlockCipher> = new Map([
  ["AES-256-CBC", AES_256],
  ["AES-192-CBC", AES_192],
  ["AES-128-CBC", AES_128],
  ["DES-EDE3-CBC", TRIPLE_DES],
]);

/** Decrypts an EncryptedPrivateKeyInfo: PBES2 with PBKDF2 (RFC 8018 A.4) or scrypt (RFC 7914 §7). */
export async function decryptPkcs8(der: Bytes, attempts: Attempts): Promise<Decrypted> {
  const [algorithm, data] = readSequence(der) ?? [];
  if (algorithm === undefined || data === undefined) return { reason: "a malformed encrypted key" };
  return await decryptPbes2(algorithm, data.content, attempts);
}

/** Decrypts data of PBES2. @param algorithm its AlgorithmIdentifier */
export async function decryptPbes2(
  algorithm: DerElement,
  data: Bytes,
  attempts: Attempts,
): Promise<Decrypted> {
  const [scheme, parameters] = readChildren(algorithm.content) ?? [];
  if (readOid(scheme) !== PBES2 || parameters === undefined) {
    return {
      reason: "a key encrypted in an outdated way (to convert it: openssl pkcs8 -topk8 -v2 aes-256-cbc)",
    };
  }
  const [derivation, encryption] = readChildren(parameters.content) ?? [];
  const [cipherOid, iv] = readChildren(encryption?.content ?? new Uint8Array()) ?? [];
  const cipher = CIPHERS.get(readOid(cipherOid) ?? "");
  if (cipher === undefined || iv?.tag !== TAG.OCTET_STRING || derivation === undefined) {
    return { reason: "a key encrypted with a cipher that is not supported" };
  }
  const derive = keyDerivation(derivation.content, cipher.keyBytes);
  if ("reason" in derive) return derive;
  return await tryPasswords(attempts, async (password) =>
    decryptCbc(cipher, await derive.key(password), iv.content, data),
  );
}

type Derivation = { readonly key: (password: Bytes) => Promise<Buffer> } | Unusable;

// The asynchronous forms leave the event loop free, so that an interrupt ends the program at once.
const derivePbkdf2 = promisify(pbkdf2);
const deriveScrypt = promisify<Bytes, Bytes, number, object, Buffer>(scrypt);

function keyDerivation(algorithm: Bytes, keyBytes: number): Derivation {
  const [oid, parameters] = readChildren(algorithm) ?? [];
  const fields = (parameters && readChildren(parameters.content)) ?? [];
  switch (readOid(oid)) {
    case PBKDF2: {
      const [salt, iterations] = [fields[0], readSmallInteger(fields[1])];
      const prfField = fields.find((field) => field.tag === TAG.SEQUENCE);
      const prf = prfField ? PRFS.get(readOid((readChildren(prfField.content) ?? [])[0]) ?? "") : "sha1";
      if (salt?.tag !== TAG.OCTET_STRING || !iterations || prf === undefined) break;
      if (iterations > LIMITS.pbkdf2Iterations)
        return {
          reason: `an encrypted key with ${iterations} iterations, more than ${LIMITS.pbkdf2Iterations}`,
        };
      return { key: (password) => derivePbkdf2(password, salt.content, iterations, keyBytes, prf) };
    }
    case SCRYPT: {
      const salt = fields[0];
      const [N, r, p] = fields.slice(1, 4).map((field) => readSmallInteger(field) ?? 0);
      if (salt?.tag !== TAG.OCTET_STRING || !N || !r || !p || !isScryptCost(N, r)) break;
      // Memory grows with N·r and time with N·r·p, so that bounding the product bounds both.
      if (128 * N * r * p > LIMITS.scryptBytes)
        return { reason: "an encrypted key whose scrypt parameters are too large" };
      const options = { N, r, p, maxmem: 2 * LIMITS.scryptBytes };
      return { key: (password) => deriveScrypt(password, salt.content, keyBytes, options) };
    }
  }
  return { reason: "a key encrypted with a key derivation that is not supported" };
}

/** RFC 7914 §2: N is larger than 1, a power of 2 and less than 2^(128 * r / 8). */
function isScryptCost(N: number, r: number): boolean {
  return N > 1 && Number.isInteger(Math.log2(N)) && N < 2 ** (16 * r);
}

/** Decrypts OpenSSL's traditional form. DEK-Info names cipher and IV; MD5 of password and salt gives the key. */
export async function decryptTraditional(block: PemBlock, attempts: Attempts): Promise<Decrypted> {
  const [name = "", ivHex = ""] = (block.headers.get("DEK-Info") ?? "").split(",");
  const cipher = DEK_CIPHERS.get(name);
  const iv = Buffer.from(ivHex, "hex");
  const { body } = block;
  if (cipher === undefined || body === null || iv.length !== cipher.ivBytes) {
    return { reason: "an encrypted PEM key with an unsupported DEK-Info" };
  }
  return await tryPasswords(attempts, async (password) =>
    decryptCbc(cipher, bytesToKey(password, iv.subarray(0, 8), cipher.keyBytes), iv, body),
  );
}

/** OpenSSL's EVP_BytesToKey with MD5 and one iteration. */
function bytesToKey(password: Bytes, salt: Uint8Array, length: number): Buffer {
  const key = Buffer.alloc(length);
  let digest = Buffer.alloc(0);
  for (let at = 0; at < length; at += digest.length) {
    const next = createHash("md5").update(digest).update(password).update(salt).digest();
    digest.fill(0);
    digest = next;
    digest.copy(key, at);
  }
  digest.fill(0);
  return key;
}

export async function tryPasswords(
  { passwords, budget }: Attempts,
  decrypt: (password: Bytes) => Promise<Bytes | null>,
): Promise<Decrypted> {
  for (const password of passwords) {
    if (budget.isSpent) return TOO_LONG;
    const end = budget.begin();
    const der = await decrypt(password.bytes);
    end();
    if (der !== null && readSequence(der) !== null) return der;
    der?.fill(0);
  }
  return passwords.length === 0 ? NO_PASSWORD : WRONG_PASSWORD;
}

/** Zeroes the key. Null for bad padding, which a wrong password causes. */
export function decryptCbc(cipher: BlockCipher, key: Buffer, iv: Uint8Array, data: Uint8Array): Bytes | null {
  const parts: Buffer[] = [];
  try {
    const decipher = createDecipheriv(cipher.name, key, iv);
    parts.push(decipher.update(data));
    parts.push(decipher.final());
    return concat(...parts);
  } catch {
    return null;
  } finally {
    for (const secret of [key, ...parts]) secret.fill(0);
  }
}

const HMAC_SHA256 = "2a864886f70d0209";
const AES_256_CBC = "60864801650304012a";
const SALT_BYTES = 16;
/** Rounds of PBKDF2. Each attempt at a password takes about 0.2 s. */
const NEW_KEY_ITERATIONS = 600_000;

/**
 * Encrypts a private key as an EncryptedPrivateKeyInfo: PBES2 with PBKDF2-HMAC-SHA256 and AES-256-CBC (RFC 8018 A.4), which
 * OpenSSL reads.
 * @param der PKCS#8, zeroed. @returns DER
 */
export async function encryptPkcs8(der: Bytes, password: Secret): Promise<Bytes> {
  const [salt, iv] = [randomBytes(SALT_BYTES), randomBytes(AES_256.ivBytes)];
  const key = await derivePbkdf2(password.bytes, salt, NEW_KEY_ITERATIONS, AES_256.keyBytes, "sha256");
  try {
    const cipher = createCipheriv(AES_256.name, key, iv);
    const data = Buffer.concat([cipher.update(der), cipher.final()]);
    const iterations = writeInteger(bigEndian(NEW_KEY_ITERATIONS));
    const prf = writeElement(TAG.SEQUENCE, writeOid(HMAC_SHA256), writeElement(TAG.NULL));
    const pbkdf2 = writeElement(TAG.SEQUENCE, writeElement(TAG.OCTET_STRING, salt), iterations, prf);
    const derivation = writeElement(TAG.SEQUENCE, writeOid(PBKDF2), pbkdf2);
    const encryption = writeElement(TAG.SEQUENCE, writeOid(AES_256_CBC), writeElement(TAG.OCTET_STRING, iv));
    const parameters = writeElement(TAG.SEQUENCE, derivation, encryption);
    const algorithm = writeElement(TAG.SEQUENCE, writeOid(PBES2), parameters);
    return writeElement(TAG.SEQUENCE, algorithm, writeElement(TAG.OCTET_STRING, data));
  } finally {
    for (const secret of [key, der]) secret.fill(0);
  }
}

function bigEndian(number: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, number);
  return bytes;
}
