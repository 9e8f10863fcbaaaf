import {
  createPrivateKey,
  createPublicKey,
  type KeyObject,
  type PrivateKeyInput,
  randomBytes,
  scryptSync,
} from "node:crypto";
import { xsalsa20poly1305 } from "@noble/ciphers/salsa.js";
import { decodeBase64, encodeBase64 } from "../../encoding/base64.ts";
import { isObject } from "../../encoding/json.ts";
import { type PemBlock, parsePem } from "../../encoding/pem.ts";
import { writePem } from "../../encoding/pem-writer.ts";
import { parseStrictJson } from "../../encoding/strict-json.ts";
import { DecoderError } from "../../errors.ts";
import * as LIMITS from "../../limits.ts";
import type { Secret } from "../../secret.ts";
import { markHint } from "../byte-order-mark.ts";
import { allowedKey, type PublicKey } from "../check/key.ts";

/** A private key that images are signed with. */
export interface SigningKey {
  readonly privateKey: KeyObject;
  readonly publicKey: PublicKey;
}

/** cosign's key: PEM around JSON, which holds PKCS#8 in NaCl's secretbox under a key that scrypt makes of a password. */
const COSIGN_LABELS: ReadonlySet<string> = new Set([
  "ENCRYPTED SIGSTORE PRIVATE KEY",
  "ENCRYPTED COSIGN PRIVATE KEY",
]);
const PLAIN_LABELS: ReadonlySet<string> = new Set(["PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY"]);
const PKCS8_ENCRYPTED = "ENCRYPTED PRIVATE KEY";
/** `openssl ecparam -genkey` writes the curve's name before the key. */
const PARAMETERS = "EC PARAMETERS";
/** Header of OpenSSL's older encryption (RFC 1421 §4.6.1.3). */
const OLD_ENCRYPTED = "DEK-Info";
const KEY_BYTES = 32;
const NONCE_BYTES = 24;
const TAG_BYTES = 16;
/** What cosign 2 and 3 write; scrypt then takes 64 MiB and some 0.2 s. */
const SCRYPT = { N: 65_536, r: 8, p: 1 };
const PASSWORD_HINT =
  "the password comes from the environment's COSIGN_PASSWORD, or after the file's name: FILE:file=PASSWORD-FILE, FILE:fd=NUMBER or FILE:pass=TEXT";

/** Whether a file holds a key of cosign. It searches bytes, because a string with another key could not be erased. */
export function holdsCosignKey(file: Uint8Array): boolean {
  const bytes = Buffer.from(file.buffer, file.byteOffset, file.byteLength);
  return [...COSIGN_LABELS].some((label) => bytes.includes(`-----BEGIN ${label}-----`));
}

/** Whether a private key is encrypted. */
export function isLocked(pem: Uint8Array): boolean {
  const block = keyBlock(pem);
  return block !== undefined && (COSIGN_LABELS.has(block.label) || isEncrypted(block));
}

function keyBlock(pem: Uint8Array): PemBlock | undefined {
  return parsePem(Buffer.from(pem).toString("latin1"), 2).find(({ label }) => label !== PARAMETERS);
}

/** In a form that node:crypto opens. */
function isEncrypted({ label, headers }: PemBlock): boolean {
  return label === PKCS8_ENCRYPTED || headers.has(OLD_ENCRYPTED);
}

/**
 * Reads a private key: cosign.key, or PKCS#8, PKCS#1 or SEC 1 in PEM.
 * @param password undefined: none is known. An empty one is one.
 * @throws DecoderError BAD_KEY
 */
export function readSigningKey(pem: Uint8Array, password: Secret | undefined, name: string): SigningKey {
  const block = keyBlock(pem);
  if (block === undefined) {
    const hint = markHint(pem) ?? "a private key is PEM; ctd-decoder keygen --for signing makes one";
    throw bad(name, "has no private key", hint);
  }
  if (COSIGN_LABELS.has(block.label)) return signingKey(openBox(block, password, name), name);
  const isLocked = isEncrypted(block);
  if (isLocked && password === undefined) throw bad(name, "needs a password", PASSWORD_HINT);
  if (!PLAIN_LABELS.has(block.label) && block.label !== PKCS8_ENCRYPTED)
    throw bad(
      name,
      `holds "${block.label}", which is not a private key`,
      "name cosign.key, not cosign.key.pub",
    );
  const passphrase = isLocked && password ? { passphrase: Buffer.from(password.bytes) } : {};
  return signingKey({ key: Buffer.from(pem), format: "pem", ...passphrase }, name);
}

function signingKey(input: PrivateKeyInput, name: string): SigningKey {
  let privateKey: KeyObject;
  try {
    privateKey = createPrivateKey(input);
  } catch {
    if (input.passphrase === undefined)
      throw bad(name, "can't be used: it is malformed, or of an unsupported kind");
    throw bad(name, "can't be used: it is malformed, or its password is wrong", PASSWORD_HINT);
  }
  return { privateKey, publicKey: allowedKey(createPublicKey(privateKey), name) };
}

/** @returns PKCS#8 in DER, for createPrivateKey */
function openBox(block: PemBlock, password: Secret | undefined, name: string) {
  if (password === undefined) throw bad(name, "needs a password", PASSWORD_HINT);
  const { salt, nonce, ciphertext, cost } = readBox(block.body, name);
  const key = scryptSync(password.bytes, salt, KEY_BYTES, { ...cost, maxmem: 2 * LIMITS.scryptBytes });
  try {
    const plain = xsalsa20poly1305(key, nonce).decrypt(ciphertext);
    return { key: Buffer.from(plain), format: "der", type: "pkcs8" } as const;
  } catch {
    throw bad(name, "can't be opened: its password is wrong, or it is damaged", PASSWORD_HINT);
  } finally {
    key.fill(0);
  }
}

function readBox(body: Uint8Array | null, name: string) {
  let value: unknown;
  try {
    value = parseStrictJson(body ?? new Uint8Array());
  } catch {
    throw bad(name, "is malformed");
  }
  const { kdf, cipher, ciphertext } = isObject(value) ? value : {};
  const { name: kdfName, params, salt } = isObject(kdf) ? kdf : {};
  const { name: cipherName, nonce } = isObject(cipher) ? cipher : {};
  if (kdfName !== "scrypt" || cipherName !== "nacl/secretbox")
    throw bad(name, "is encrypted in an unsupported way");
  const [saltBytes, nonceBytes, box] = [salt, nonce, ciphertext].map((it) =>
    typeof it === "string" ? decodeBase64(it) : null,
  );
  if (!saltBytes || nonceBytes?.length !== NONCE_BYTES || !box || box.length < TAG_BYTES)
    throw bad(name, "is malformed");
  return { salt: saltBytes, nonce: nonceBytes, ciphertext: box, cost: readCost(params, name) };
}

function readCost(params: unknown, name: string): typeof SCRYPT {
  const { N, r, p } = isObject(params) ? params : {};
  const isNumber = (it: unknown): it is number => Number.isSafeInteger(it) && Number(it) > 0;
  if (!isNumber(N) || !isNumber(r) || !isNumber(p)) throw bad(name, "is malformed");
  // Memory and time grow with N·r, the time with p as well.
  if (128 * N * r > LIMITS.scryptBytes || p > LIMITS.scryptParallel)
    throw bad(name, "asks for more scrypt work than is allowed");
  return { N, r, p };
}

/** A private key as `cosign generate-key-pair` writes it: PEM. */
export function writeCosignKey(privateKey: KeyObject, password: Secret): string {
  const [salt, nonce] = [randomBytes(KEY_BYTES), randomBytes(NONCE_BYTES)];
  const key = scryptSync(password.bytes, salt, KEY_BYTES, { ...SCRYPT, maxmem: 2 * LIMITS.scryptBytes });
  const der = privateKey.export({ format: "der", type: "pkcs8" });
  try {
    const ciphertext = encodeBase64(xsalsa20poly1305(key, nonce).encrypt(der));
    const json = JSON.stringify({
      kdf: { name: "scrypt", params: SCRYPT, salt: encodeBase64(salt) },
      cipher: { name: "nacl/secretbox", nonce: encodeBase64(nonce) },
      ciphertext,
    });
    return writePem("ENCRYPTED SIGSTORE PRIVATE KEY", new Uint8Array(Buffer.from(json)));
  } finally {
    key.fill(0);
    der.fill(0);
  }
}

function bad(name: string, problem: string, hint?: string): DecoderError {
  return new DecoderError("BAD_KEY", `the key ${name} ${problem}`, hint === undefined ? {} : { hint });
}
