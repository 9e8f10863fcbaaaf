import type { Bytes } from "../encoding/bytes.ts";
import * as LIMITS from "../limits.ts";
import type { RsaKey } from "./keyset.ts";

/** RFC 8017 §7.2.1: 00 ‖ 02 ‖ at least eight non-zero padding octets ‖ 00 ‖ message. */
const PADDING_START = 2;
const PADDING_MIN = 8;

/**
 * Removes PKCS#1 v1.5 padding from an RSA block with a message as long as `substitute`. Returns `substitute` when the padding
 * is wrong. No branch or index depends on the block's bytes: an attacker who chose the block must not learn which case it was
 * (RFC 3218 §2.3.2).
 */
export function unpadPkcs1(block: Uint8Array, substitute: Bytes): Bytes {
  const separator = block.length - substitute.length - 1;
  if (separator < PADDING_START + PADDING_MIN) return substitute;
  const at = (index: number) => block[index] ?? 0;
  let wrong = at(0) | (at(1) ^ 2) | at(separator);
  // (b - 1) >>> 31 is 1 for b = 0 only.
  for (let i = PADDING_START; i < separator; i++) wrong |= (at(i) - 1) >>> 31;
  // All ones when nothing is wrong, all zeros otherwise.
  const right = (wrong - 1) >> 31;
  return substitute.map((byte, i) => (at(separator + 1 + i) & right) | (byte & ~right));
}

/**
 * Whether a ciphertext may be one for this key. RFC 8017 §5.1.2 and §7: it is as long as the modulus, and smaller. Saves
 * private-key operations that can't succeed.
 */
export function mayBeFor({ modulus }: RsaKey, ciphertext: Uint8Array): boolean {
  return modulus.length === ciphertext.length && ciphertext.toHex() < modulus.toHex();
}

/** Why an RSA key of this size is refused, as "is an RSA key of 1024 bits, …"; null when it is allowed. */
export function rsaSizeProblem(bits: number): string | null {
  if (bits < LIMITS.rsaBitsMin)
    return `an RSA key of ${bits} bits, fewer than the ${LIMITS.rsaBitsMin} that RFC 7518 requires`;
  return bits > LIMITS.rsaBitsMax ? `an RSA key of ${bits} bits, more than ${LIMITS.rsaBitsMax}` : null;
}

/** The magnitude of a non-negative big-endian integer: a view without leading zeros. */
export function withoutZeros(integer: Bytes): Bytes {
  let start = 0;
  while (start < integer.length && integer[start] === 0) start++;
  return integer.subarray(start);
}

/** Bits of an integer without leading zeros. */
export function bitLength(magnitude: Uint8Array): number {
  const first = magnitude[0];
  return first === undefined ? 0 : magnitude.length * 8 - Math.clz32(first) + 24;
}
