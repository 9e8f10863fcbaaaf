import { createDecipheriv } from "node:crypto";
import { decodeBase64 } from "../../encoding/base64.ts";
import { type BerElement, malformed } from "../../encoding/ber.ts";
import type { Bytes } from "../../encoding/bytes.ts";
import { TAG } from "../../encoding/der.ts";
import { goField, parseJsonObject } from "../../encoding/json.ts";
import { Secret } from "../../secret.ts";

/**
 * AES-CBC (RFC 3565 §4.1), which `openssl cms` writes by default and Go's decoder opens. It is not authenticated. But nothing is
 * released without the layer's HMAC, whose key is inside, so a changed packet can only make the layer fail. Wrong padding, JSON
 * and lengths look alike. A changed symkey fails later, at the HMAC, which leaks a little to an attacker who can have the same
 * layer pulled thousands of times. So this program never writes AES-CBC.
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

/**
 * Reads AES-CBC content.
 * @returns what opens it with the content key; null for a plaintext that is not private options
 * @throws DecoderError BAD_PACKET
 */
export function readCbc(
  cipher: CbcCipher,
  parameters: BerElement | undefined,
  ciphertext: Bytes,
): (key: Bytes) => Secret | null {
  if (parameters?.tag !== TAG.OCTET_STRING || parameters.content.length !== BLOCK_BYTES)
    throw malformed("it has no AES-CBC parameters");
  if (ciphertext.length === 0 || ciphertext.length % BLOCK_BYTES !== 0)
    throw malformed("its AES-CBC content is cut off");
  const iv = parameters.content;
  return (key) => decrypt(cipher, key, iv, ciphertext);
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

/** RFC 5652 §6.3. Invalid padding counts as none: then the text is not JSON either. */
function paddingLength(padded: Uint8Array): number {
  const length = padded.at(-1) ?? 0;
  if (length === 0 || length > BLOCK_BYTES) return 0;
  return padded.subarray(-length).every((byte) => byte === length) ? length : 0;
}

/** Distinguishes the right key from a wrong one, since CBC has no tag. */
function isPrivateOptions(bytes: Uint8Array): boolean {
  const symkey = goField(parseJsonObject(bytes), "symkey");
  return typeof symkey === "string" && decodeBase64(symkey)?.length === SYMKEY_BYTES;
}
