/** Public-key algorithms (RFC 9580 §9.1) for session keys. Unlisted ones are refused. */
interface KeyAlgorithm {
  readonly name: string;
  readonly type: "rsa" | "elgamal" | "ecdh" | "x25519" | "x448";
}

export const KEY_ALGORITHMS: ReadonlyMap<number, KeyAlgorithm> = new Map<number, KeyAlgorithm>([
  [1, { name: "RSA", type: "rsa" }],
  [2, { name: "RSA", type: "rsa" }],
  [16, { name: "ElGamal", type: "elgamal" }],
  [18, { name: "ECDH", type: "ecdh" }],
  [25, { name: "X25519", type: "x25519" }],
  [26, { name: "X448", type: "x448" }],
]);

/** Symmetric algorithms (RFC 9580 §9.3) for the content: AES, and those for old keys that do not prefer AES. */
interface Cipher {
  /** openpgp.js's name. */
  readonly name: "aes128" | "aes192" | "aes256" | "tripledes" | "cast5";
  readonly keyBytes: number;
}

export const CIPHERS: ReadonlyMap<number, Cipher> = new Map<number, Cipher>([
  [2, { name: "tripledes", keyBytes: 24 }],
  [3, { name: "cast5", keyBytes: 16 }],
  [7, { name: "aes128", keyBytes: 16 }],
  [8, { name: "aes192", keyBytes: 24 }],
  [9, { name: "aes256", keyBytes: 32 }],
]);

/** AEAD modes (RFC 9580 §9.6): EAX, OCB, GCM. GnuPG's packet supports the first two. */
export const AEAD_MODES: ReadonlySet<number> = new Set([1, 2, 3]);
