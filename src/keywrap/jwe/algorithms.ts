import type { Curve } from "../../keys/keyset.ts";

/** Key management algorithms (RFC 7518 §4.1) of ocicrypt's writers. Unlisted ones are refused. */
type KeyAlgorithm =
  | { readonly type: "rsa"; readonly hash: "SHA-1" | "SHA-256" }
  | { readonly type: "ecdh"; readonly kekBytes: 16 | 24 | 32 };

export const KEY_ALGORITHMS: ReadonlyMap<unknown, KeyAlgorithm> = new Map<unknown, KeyAlgorithm>([
  ["RSA-OAEP", { type: "rsa", hash: "SHA-1" }],
  ["RSA-OAEP-256", { type: "rsa", hash: "SHA-256" }],
  ["ECDH-ES+A128KW", { type: "ecdh", kekBytes: 16 }],
  ["ECDH-ES+A192KW", { type: "ecdh", kekBytes: 24 }],
  ["ECDH-ES+A256KW", { type: "ecdh", kekBytes: 32 }],
]);

/** Content encryption algorithms (RFC 7518 §5.1). Sizes in bytes. Only the CBC ones have a `hash`. */
export interface ContentAlgorithm {
  readonly keyBytes: number;
  readonly ivBytes: number;
  readonly tagBytes: number;
  readonly hash?: "SHA-256" | "SHA-384" | "SHA-512";
}

export const CONTENT_ALGORITHMS: ReadonlyMap<unknown, ContentAlgorithm> = new Map<unknown, ContentAlgorithm>([
  ["A128GCM", { keyBytes: 16, ivBytes: 12, tagBytes: 16 }],
  ["A192GCM", { keyBytes: 24, ivBytes: 12, tagBytes: 16 }],
  ["A256GCM", { keyBytes: 32, ivBytes: 12, tagBytes: 16 }],
  ["A128CBC-HS256", { keyBytes: 32, ivBytes: 16, tagBytes: 16, hash: "SHA-256" }],
  ["A192CBC-HS384", { keyBytes: 48, ivBytes: 16, tagBytes: 24, hash: "SHA-384" }],
  ["A256CBC-HS512", { keyBytes: 64, ivBytes: 16, tagBytes: 32, hash: "SHA-512" }],
]);

/** Bits of a curve's shared secret, in whole bytes (RFC 7518 §6.2.1.1). */
export const CURVE_BITS: Readonly<Record<Curve, number>> = { "P-256": 256, "P-384": 384, "P-521": 528 };
