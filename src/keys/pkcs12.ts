import { createHash } from "node:crypto";
import { type Bytes, decodeUtf8 } from "../encoding/bytes.ts";
import {
  type DerElement,
  readChildren,
  readElement,
  readOid,
  readOnly,
  readSequence,
  readSmallInteger,
  TAG,
} from "../encoding/der.ts";
import * as LIMITS from "../limits.ts";
import { Secret } from "../secret.ts";
import {
  type Attempts,
  type Decrypted,
  decryptCbc,
  decryptPbes2,
  NO_PASSWORD,
  PBES2,
  TRIPLE_DES,
  tryPasswords,
} from "./encrypted-key.ts";
import type { Unusable } from "./keyset.ts";

/** PKCS#12 files (RFC 7292), which browsers, Java and Windows export. */

/** The contents of a file: private keys as PKCS#8, which the caller zeroes, and certificates, both DER. */
interface Pkcs12Contents {
  readonly keys: readonly Decrypted[];
  readonly certificates: readonly Bytes[];
}

const DATA = "2a864886f70d010701";
const ENCRYPTED_DATA = "2a864886f70d010706";
/** RFC 7292 §4.2 and appendix D. */
const KEY_BAG = "2a864886f70d010c0a0101";
const SHROUDED_KEY_BAG = "2a864886f70d010c0a0102";
const CERTIFICATE_BAG = "2a864886f70d010c0a0103";
/** RFC 7292 appendix C: pbeWithSHAAnd3-KeyTripleDES-CBC. */
const SHA1_TRIPLE_DES = "2a864886f70d010c0103";
const CONTEXT_0_PRIMITIVE = 0x80;

const MALFORMED: Unusable = {
  reason:
    "a PKCS#12 file in a form that is not supported (to convert it: openssl pkcs12 -in FILE -nodes -out KEY.pem)",
};
const OUTDATED: Unusable = {
  reason:
    "a PKCS#12 file encrypted in an outdated way (to convert it: openssl pkcs12 -legacy -in FILE -nodes -out KEY.pem)",
};

const NOT_PKCS12: Unusable = { reason: "DER, but neither a private key nor a certificate" };
const VERSION = 3;

/** Whether DER is a PKCS#12 file. RFC 7292 §4: SEQUENCE { INTEGER 3, ContentInfo of data or signedData, … }. */
export function isPkcs12(der: Bytes): boolean {
  const [version, content] = readSequence(der) ?? [];
  return readSmallInteger(version) === VERSION && content?.tag === TAG.SEQUENCE;
}

/**
 * Opens a file. Its MAC is not checked: a wrong password shows in the padding, and a wrong key opens no layer.
 * @returns why nothing in it can be used, or its contents. Certificates that do not open are left out.
 */
export async function openPkcs12(der: Bytes, given: Attempts): Promise<Pkcs12Contents | Unusable> {
  const content = readSequence(der)?.[1];
  if (!isPkcs12(der) || content === undefined) return NOT_PKCS12;
  const safe = contentOf(content, DATA);
  const octets = safe && readOnly(safe, TAG.OCTET_STRING);
  const parts = octets && readOnly(octets.content, TAG.SEQUENCE);
  if (!parts) return MALFORMED;
  // A file "without a password" is encrypted with the empty one.
  const attempts = { ...given, passwords: [...given.passwords, new Secret(new Uint8Array())] };
  const locked = <T extends object>(result: T): T | Unusable =>
    "isLocked" in result && given.passwords.length === 0 ? NO_PASSWORD : result;
  const keys: Decrypted[] = [];
  const certificates: Bytes[] = [];
  for (const part of readChildren(parts.content, LIMITS.pkcs12Bags) ?? []) {
    const bags = await bagsIn(part, attempts);
    if ("reason" in bags) {
      // Usually these are the certificates, in the weakest of the old ciphers.
      if (bags.isLocked) return locked(bags);
      continue;
    }
    for (const bag of bags) {
      const [kind, value] = [readOid(bag[0]), bag[1] && readElement(bag[1].content)];
      if (!value) continue;
      if (kind === KEY_BAG) keys.push(value.whole.slice());
      else if (kind === SHROUDED_KEY_BAG) keys.push(locked(await unshroud(value, attempts)));
      else if (kind === CERTIFICATE_BAG) certificates.push(...certificateIn(value));
    }
  }
  return keys.length + certificates.length > 0 ? { keys, certificates } : OUTDATED;
}

type Bag = readonly DerElement[];

/** The SafeBags of one ContentInfo, decrypted if necessary. */
async function bagsIn(part: DerElement, attempts: Attempts): Promise<readonly Bag[] | Unusable> {
  const plain = contentOf(part, DATA);
  const safe = plain ? readOnly(plain, TAG.OCTET_STRING)?.content : await decryptPart(part, attempts);
  if (safe === undefined) return MALFORMED;
  if ("reason" in safe) return safe;
  const list = readOnly(safe, TAG.SEQUENCE);
  return ((list && readChildren(list.content, LIMITS.pkcs12Bags)) ?? []).map(
    (bag) => readChildren(bag.content) ?? [],
  );
}

/** RFC 2315 §13: EncryptedData ::= SEQUENCE { version, SEQUENCE { contentType, algorithm, [0] IMPLICIT content } }. */
async function decryptPart(part: DerElement, attempts: Attempts): Promise<Decrypted> {
  const data = contentOf(part, ENCRYPTED_DATA);
  const info = data && readSequence(data)?.[1];
  const [, algorithm, content] = (info && readChildren(info.content)) ?? [];
  if (algorithm === undefined || content?.tag !== CONTEXT_0_PRIMITIVE) return MALFORMED;
  return await decrypt(algorithm, content.content, attempts);
}

async function unshroud(value: DerElement, attempts: Attempts): Promise<Decrypted> {
  const [algorithm, data] = readChildren(value.content) ?? [];
  if (algorithm === undefined || data?.tag !== TAG.OCTET_STRING) return MALFORMED;
  return await decrypt(algorithm, data.content, attempts);
}

async function decrypt(algorithm: DerElement, data: Bytes, attempts: Attempts): Promise<Decrypted> {
  const [scheme, parameters] = readChildren(algorithm.content) ?? [];
  const oid = readOid(scheme);
  if (oid === PBES2) return await decryptPbes2(algorithm, data, attempts);
  const [salt, iterationField] = (parameters && readChildren(parameters.content)) ?? [];
  const iterations = readSmallInteger(iterationField) ?? 0;
  if (oid !== SHA1_TRIPLE_DES || salt?.tag !== TAG.OCTET_STRING || iterations < 1) return OUTDATED;
  if (iterations > ITERATIONS_MOST) return OUTDATED;
  return await tryPasswords(attempts, async (password) => {
    const derive = (purpose: number, length: number) =>
      deriveKey(password, salt.content, { purpose, iterations, length });
    const iv = derive(PURPOSE.iv, TRIPLE_DES.ivBytes);
    return decryptCbc(TRIPLE_DES, derive(PURPOSE.key, TRIPLE_DES.keyBytes), iv, data);
  });
}

/** RFC 7292 B.3. */
const PURPOSE = { key: 1, iv: 2 } as const;
const SHA1_BLOCK_BYTES = 64;
/** An iteration takes three separate hashes here, and as much time as 20 of OpenSSL's PBKDF2. Java writes 50,000 at most. */
const ITERATIONS_MOST = LIMITS.pbkdf2Iterations / 20;

interface Derivation {
  readonly purpose: number;
  readonly iterations: number;
  /** In bytes. */
  readonly length: number;
}

/** RFC 7292 B.2, with SHA-1. */
function deriveKey(password: Bytes, salt: Uint8Array, { purpose, iterations, length }: Derivation): Buffer {
  const id = Buffer.alloc(SHA1_BLOCK_BYTES, purpose);
  const text = bmpString(password);
  const input = Buffer.concat([repeated(salt), repeated(text)]);
  const key = Buffer.alloc(length);
  for (let at = 0; at < length; ) {
    let digest = createHash("sha1").update(id).update(input).digest();
    for (let i = 1; i < iterations; i++) digest = createHash("sha1").update(digest).digest();
    at += digest.copy(key, at);
    addToBlocks(input, repeated(digest));
  }
  for (const secret of [text, input]) secret.fill(0);
  return key;
}

/** RFC 7292 B.1: UTF-16, big-endian, with a final zero character. */
function bmpString(password: Bytes): Buffer {
  return Buffer.from(`${decodeUtf8(password)}\0`, "utf16le").swap16();
}

/** Copies of the bytes that fill whole blocks. */
function repeated(bytes: Uint8Array): Buffer {
  return Buffer.alloc(Math.ceil(bytes.length / SHA1_BLOCK_BYTES) * SHA1_BLOCK_BYTES, bytes);
}

/** Step 6C: each block, as a big-endian number, grows by `addend` + 1. */
function addToBlocks(blocks: Buffer, addend: Buffer): void {
  for (let start = 0; start < blocks.length; start += SHA1_BLOCK_BYTES) {
    let carry = 1;
    for (let i = SHA1_BLOCK_BYTES - 1; i >= 0; i--) {
      carry += (blocks[start + i] ?? 0) + (addend[i] ?? 0);
      blocks[start + i] = carry;
      carry >>= 8;
    }
  }
}

/** RFC 7292 §4.2.3: SEQUENCE { x509Certificate, [0] EXPLICIT OCTET STRING }. */
function certificateIn(bag: DerElement): Bytes[] {
  const [, value] = readChildren(bag.content) ?? [];
  const octets = value && readOnly(value.content, TAG.OCTET_STRING);
  return octets ? [octets.content.slice()] : [];
}

/** The [0] EXPLICIT content of a ContentInfo (RFC 2315 §7). Null for another type. */
function contentOf(info: DerElement | undefined, type: string): Bytes | null {
  const [oid, content] = (info && readChildren(info.content)) ?? [];
  return readOid(oid) === type && content?.tag === TAG.CONTEXT_0 ? content.content : null;
}
