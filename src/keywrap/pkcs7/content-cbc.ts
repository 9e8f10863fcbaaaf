import { createDecipheriv } from "node:crypto";
import { decodeBase64 } from "../../encoding/base64.ts";
import { type BerElement, malformed } from "../../encoding/ber.ts";
import { TAG } from "../../encoding/der.ts";
import { goField, parseJsonObject } from "../../encoding/json.ts";
import { Secret } from "../../secret.ts";
import type { SealedContent } from "./content.ts";

/**
 * AES-CBC (RFC 3565 §4.1): what `openssl cms` writes unless told otherwise, and what the Go decoder opens. It is not
 * authenticated, but nothing is released without the layer's HMAC, whose key is in here: a changed packet can only make
 * the layer fail. Padding, JSON and lengths have one answer; that a changed symkey fails later, at the HMAC, tells
 * something of it to whoever can have the same layer pulled thousands of times. Hence nothing here is written this way.
 */
type CbcCipher = "aes-128-cbc" | "aes-192-cbc" | "aes-256-cbc";

interface CbcAlgorithm {
  readonly cipher: CbcCipher;
  readonly keyLength: number;
}

export const CBC: ReadonlyMap<string, CbcAlgorithm> = new Map([
  ["608648016503040102", { cipher: "aes-128-cbc", keyLength: 16 }],
  ["608648016503040116", { cipher: "aes-192-cbc", keyLength: 24 }],
  ["60864801650304012a", { cipher: "aes-256-cbc", keyLength: 32 }],
]);

const BLOCK_BYTES = 16;
const SYMKEY_BYTES = 32;

/** @throws DecoderError BAD_PACKET */
export function readCbc(
  { cipher, keyLength }: CbcAlgorithm,
  parameters: BerElement | undefined,
  ciphertext: Uint8Array<ArrayBuffer>,
): SealedContent {
  if (parameters?.tag !== TAG.OCTET_STRING || parameters.content.length !== BLOCK_BYTES)
    throw malformed("no AES-CBC parameters");
  if (ciphertext.length === 0 || ciphertext.length % BLOCK_BYTES !== 0)
    throw malformed("AES-CBC content that is cut off");
  const iv = parameters.content;
  return { keyLength, open: (key) => decrypt(cipher, key, iv, ciphertext) };
}

function decrypt(cipher: CbcCipher, key: Uint8Array, iv: Uint8Array, ciphertext: Uint8Array): Secret | null {
  const decipher = createDecipheriv(cipher, key, iv).setAutoPadding(false);
  const padded = decipher.update(ciphertext);
  const options = new Uint8Array(padded.subarray(0, padded.length - paddingLength(padded)));
  padded.fill(0);
  if (isPrivateOptions(options)) return new Secret(options);
  options.fill(0);
  return null;
}

/** RFC 5652 §6.3. What is no padding is taken for none: then it is no JSON either. */
function paddingLength(padded: Uint8Array): number {
  const length = padded.at(-1) ?? 0;
  if (length === 0 || length > BLOCK_BYTES) return 0;
  return padded.subarray(-length).every((byte) => byte === length) ? length : 0;
}

/** Without a tag, this is what tells the right key from a wrong one. */
function isPrivateOptions(bytes: Uint8Array): boolean {
  const symkey = goField(parseJsonObject(bytes), "symkey");
  return typeof symkey === "string" && decodeBase64(symkey)?.length === SYMKEY_BYTES;
}
