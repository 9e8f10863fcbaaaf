import type { RsaKey } from "./keyset.ts";

/** RFC 8017 §7.2.1: 00 ‖ 02 ‖ at least eight padding octets, none of them 0 ‖ 00 ‖ message. */
const PADDING_START = 2;
const PADDING_MIN = 8;

/**
 * Takes a message as long as `substitute` out of an RSA block with PKCS#1 v1.5 padding; where the padding is not exactly
 * right for that length, returns `substitute`. The same steps are done in each case, and no branch or index depends on
 * the block's bytes: who chose the block must not learn which it was (RFC 3218 §2.3.2).
 */
export function unpadPkcs1(block: Uint8Array, substitute: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const separator = block.length - substitute.length - 1;
  if (separator < PADDING_START + PADDING_MIN) return substitute;
  const at = (index: number) => block[index] ?? 0;
  let wrong = at(0) | (at(1) ^ 2) | at(separator);
  // (b - 1) >>> 31 is 1 for b = 0 alone.
  for (let i = PADDING_START; i < separator; i++) wrong |= (at(i) - 1) >>> 31;
  // All ones when nothing is wrong, all zeros otherwise.
  const right = (wrong - 1) >> 31;
  return substitute.map((byte, i) => (at(separator + 1 + i) & right) | (byte & ~right));
}

/**
 * Whether a ciphertext can be one for this key: RFC 8017 §5.1.2 and §7 want it as long as the modulus and a smaller
 * number. Spares the private-key operation that could only fail.
 */
export function mayBeFor(key: RsaKey, ciphertext: Uint8Array): boolean {
  const { modulus } = key;
  if (modulus.length !== ciphertext.length) return false;
  const first = modulus.findIndex((byte, i) => byte !== ciphertext[i]);
  return first >= 0 && (ciphertext[first] ?? 0) < (modulus[first] ?? 0);
}
