import type { Curve } from "../../keys/keyset.ts";

type KeyAlgorithm =
  | { readonly type: "rsa"; readonly hash: "SHA-1" | "SHA-256" }
  | { readonly type: "ecdh"; readonly kekBytes: 16 | 24 | 32 };

/** The key management algorithms (RFC 7518 §4.1) of ocicrypt's writers; undefined for others, which are refused. */
export function keyAlgorithmOf(alg: unknown): KeyAlgorithm | undefined {
  switch (alg) {
    case "RSA-OAEP":
      return { type: "rsa", hash: "SHA-1" };
    case "RSA-OAEP-256":
      return { type: "rsa", hash: "SHA-256" };
    case "ECDH-ES+A128KW":
      return { type: "ecdh", kekBytes: 16 };
    case "ECDH-ES+A192KW":
      return { type: "ecdh", kekBytes: 24 };
    case "ECDH-ES+A256KW":
      return { type: "ecdh", kekBytes: 32 };
    default:
      return undefined;
  }
}

/** Sizes in bytes. Only the CBC algorithms have a `hash`. */
export interface ContentAlgorithm {
  readonly keyBytes: number;
  readonly ivBytes: number;
  readonly tagBytes: number;
  readonly hash?: "SHA-256" | "SHA-384" | "SHA-512";
}

/** The content encryption algorithms (RFC 7518 §5.1); undefined for others. */
export function contentAlgorithmOf(enc: unknown): ContentAlgorithm | undefined {
  switch (enc) {
    case "A128GCM":
      return { keyBytes: 16, ivBytes: 12, tagBytes: 16 };
    case "A192GCM":
      return { keyBytes: 24, ivBytes: 12, tagBytes: 16 };
    case "A256GCM":
      return { keyBytes: 32, ivBytes: 12, tagBytes: 16 };
    case "A128CBC-HS256":
      return { keyBytes: 32, ivBytes: 16, tagBytes: 16, hash: "SHA-256" };
    case "A192CBC-HS384":
      return { keyBytes: 48, ivBytes: 16, tagBytes: 24, hash: "SHA-384" };
    case "A256CBC-HS512":
      return { keyBytes: 64, ivBytes: 16, tagBytes: 32, hash: "SHA-512" };
    default:
      return undefined;
  }
}

/** Bits of a curve's shared secret, in whole bytes (RFC 7518 §6.2.1.1). */
export const CURVE_BITS: Readonly<Record<Curve, number>> = { "P-256": 256, "P-384": 384, "P-521": 528 };
