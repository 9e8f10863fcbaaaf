import { createDecipheriv, createHash, pbkdf2Sync, scryptSync } from "node:crypto";
import type { PieceBudget } from "../budget.ts";
import { readChildren, readOid, readSequence, readSmallInteger, TAG } from "../encoding/der.ts";
import type { PemBlock } from "../encoding/pem.ts";
import { LIMITS } from "../limits.ts";
import type { Secret } from "../secret.ts";
import { NO_PASSWORD, WRONG_PASSWORD } from "./locked.ts";

/** PKCS#8 PBES2 (RFC 8018 §6.2) and OpenSSL's traditional encrypted PEM: what `openssl genrsa -aes256` and `pkcs8` write. */

type Bytes = Uint8Array<ArrayBuffer>;

/** The decrypted DER, or why there is none. A wrong password mostly shows as bad padding, rarely as garbage. */
export type Decrypted = Bytes | { readonly reason: string };

const TOO_LONG = {
  reason: `an encrypted key that was not tried: those before it took ${LIMITS.keyDerivationCpuMs / 1000} s of processor time`,
} as const;

const PBES2 = "2a864886f70d01050d";
const PBKDF2 = "2a864886f70d01050c";
const SCRYPT = "2b06010401da47040b";

interface BlockCipher {
  readonly name: string;
  readonly keyBytes: number;
}

/** RFC 8018 B.2.2 and B.2.5: AES-CBC, and 3DES for the old keys that still stand around. */
const CIPHERS: ReadonlyMap<string, BlockCipher> = new Map([
  ["60864801650304012a", { name: "aes-256-cbc", keyBytes: 32 }],
  ["608648016503040116", { name: "aes-192-cbc", keyBytes: 24 }],
  ["608648016503040102", { name: "aes-128-cbc", keyBytes: 16 }],
  ["2a864886f70d0307", { name: "des-ede3-cbc", keyBytes: 24 }],
]);

/** RFC 8018 B.1.2. */
const PRFS: ReadonlyMap<string, string> = new Map([
  ["2a864886f70d0207", "sha1"],
  ["2a864886f70d0208", "sha224"],
  ["2a864886f70d0209", "sha256"],
  ["2a864886f70d020a", "sha384"],
  ["2a864886f70d020b", "sha512"],
]);

const DEK_CIPHERS: ReadonlyMap<string, BlockCipher> = new Map([
  ["AES-256-CBC", { name: "aes-256-cbc", keyBytes: 32 }],
  ["AES-192-CBC", { name: "aes-192-cbc", keyBytes: 24 }],
  ["AES-128-CBC", { name: "aes-128-cbc", keyBytes: 16 }],
  ["DES-EDE3-CBC", { name: "des-ede3-cbc", keyBytes: 24 }],
]);

/** RFC 8018 A.4: PBES2 with PBKDF2 or scrypt (RFC 7914 §7). */
export function decryptPkcs8(der: Bytes, passwords: readonly Secret[], budget: PieceBudget): Decrypted {
  const [algorithm, data] = readSequence(der) ?? [];
  const [scheme, parameters] = readChildren(algorithm?.content ?? new Uint8Array()) ?? [];
  if (readOid(scheme) !== PBES2 || parameters === undefined || data === undefined) {
    return {
      reason: "a key encrypted in an outdated way (convert it: openssl pkcs8 -topk8 -v2 aes-256-cbc)",
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
  return tryPasswords(passwords, budget, (password) =>
    decryptCbc(cipher, derive.key(password), iv.content, data.content),
  );
}

type Derivation = { readonly key: (password: Bytes) => Buffer } | { readonly reason: string };

function keyDerivation(algorithm: Bytes, keyBytes: number): Derivation {
  const [oid, parameters] = readChildren(algorithm) ?? [];
  const fields = (parameters && readChildren(parameters.content)) ?? [];
  switch (readOid(oid)) {
    case PBKDF2: {
      const [salt, iterations] = [fields[0], readSmallInteger(fields[1])];
      const prfField = fields.find((field) => field.tag === TAG.SEQUENCE);
      const prf = prfField ? PRFS.get(readOid((readChildren(prfField.content) ?? [])[0]) ?? "") : "sha1";
      if (salt?.tag !== TAG.OCTET_STRING || iterations === null || iterations === 0 || prf === undefined)
        break;
      if (iterations > LIMITS.pbkdf2Iterations)
        return { reason: `an encrypted key of ${iterations} iterations, too many` };
      return { key: (password) => pbkdf2Sync(password, salt.content, iterations, keyBytes, prf) };
    }
    case SCRYPT: {
      const salt = fields[0];
      const [N, r, p] = fields.slice(1, 4).map((field) => readSmallInteger(field) ?? 0);
      if (salt?.tag !== TAG.OCTET_STRING || !N || !r || !p || !isScryptCost(N, r)) break;
      if (128 * N * r * p > LIMITS.scryptBytes)
        return { reason: "an encrypted key whose scrypt parameters are too large" };
      const options = { N, r, p, maxmem: 2 * LIMITS.scryptBytes };
      return { key: (password) => scryptSync(password, salt.content, keyBytes, options) };
    }
  }
  return { reason: "a key encrypted with a key derivation that is not supported" };
}

/** RFC 7914 §2: larger than 1, a power of 2 and less than 2^(128 * r / 8). */
function isScryptCost(N: number, r: number): boolean {
  return N > 1 && Number.isInteger(Math.log2(N)) && N < 2 ** (16 * r);
}

/** OpenSSL's traditional form: DEK-Info names cipher and IV, and MD5 of password and salt makes the key (EVP_BytesToKey). */
export function decryptTraditional(
  block: PemBlock,
  passwords: readonly Secret[],
  budget: PieceBudget,
): Decrypted {
  const [name = "", ivHex = ""] = (block.headers.get("DEK-Info") ?? "").split(",");
  const cipher = DEK_CIPHERS.get(name);
  const iv = Buffer.from(ivHex, "hex");
  if (
    cipher === undefined ||
    block.body === null ||
    iv.length !== (cipher.name === "des-ede3-cbc" ? 8 : 16)
  ) {
    return { reason: "an encrypted PEM key with a DEK-Info that is not supported" };
  }
  const body = block.body;
  return tryPasswords(passwords, budget, (password) =>
    decryptCbc(cipher, bytesToKey(password, iv.subarray(0, 8), cipher.keyBytes), iv, body),
  );
}

function bytesToKey(password: Bytes, salt: Uint8Array, length: number): Buffer {
  let key = Buffer.alloc(0);
  let digest = Buffer.alloc(0);
  while (key.length < length) {
    digest = createHash("md5").update(digest).update(password).update(salt).digest();
    key = Buffer.concat([key, digest]);
  }
  return key.subarray(0, length);
}

function tryPasswords(
  passwords: readonly Secret[],
  budget: PieceBudget,
  decrypt: (password: Bytes) => Bytes | null,
): Decrypted {
  for (const password of passwords) {
    if (budget.isSpent) return TOO_LONG;
    const end = budget.begin();
    const der = decrypt(password.bytes);
    end();
    if (der !== null && readSequence(der) !== null) return der;
  }
  return { reason: passwords.length === 0 ? NO_PASSWORD : WRONG_PASSWORD };
}

function decryptCbc(cipher: BlockCipher, key: Buffer, iv: Uint8Array, data: Uint8Array): Bytes | null {
  try {
    const decipher = createDecipheriv(cipher.name, key, iv);
    return new Uint8Array(Buffer.concat([decipher.update(data), decipher.final()]));
  } catch {
    return null; // bad padding: a wrong password
  } finally {
    key.fill(0);
  }
}
