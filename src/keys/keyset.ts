import type { Secret } from "../secret.ts";

export type Curve = "P-256" | "P-384" | "P-521";

interface KeyBase {
  /** PKCS#8 PrivateKeyInfo, DER (RFC 5208), whatever form the key came in. */
  readonly pkcs8: Secret;
  /** Where it came from, for messages: a path below the keys path, or "payload privkeys[0]". */
  readonly origin: string;
  /** A JWK's own `kid` and `alg` (RFC 7517 §4.4-4.5). */
  readonly kid?: string;
  readonly alg?: string;
}

export interface RsaKey extends KeyBase {
  readonly type: "rsa";
  /** Bits. */
  readonly modulusLength: number;
  /** Big-endian, without leading zeros. Public. */
  readonly modulus: Uint8Array<ArrayBuffer>;
}

export interface EcKey extends KeyBase {
  readonly type: "ec";
  readonly curve: Curve;
}

export type AsymmetricKey = RsaKey | EcKey;

export interface Certificate {
  /** X.509, DER. Only its frame has been checked. */
  readonly der: Uint8Array<ArrayBuffer>;
  readonly origin: string;
}

export interface PgpKeyring {
  /** OpenPGP transferable keys, binary or ASCII-armoured: only the first bytes have been looked at. */
  readonly data: Uint8Array<ArrayBuffer>;
  readonly origin: string;
  /** Passphrases to try, in order; none for an unprotected key. */
  readonly passphrases: readonly Secret[];
}

export interface Pkcs11KeyFile {
  /** The YAML text (`pkcs11: {uri: …}`, `module: {env: …}`), not parsed yet. May hold a PIN. */
  readonly yaml: Secret;
  readonly origin: string;
}

/** What was found beside the usable keys, and why it can't be used: shown when the layer does not open. */
export interface SkippedKey {
  readonly origin: string;
  readonly reason: string;
}

/** ocicrypt's DecryptConfig.Parameters: lists of raw values by name ("privkeys", "x509s", a provider's name). */
export type Parameters = ReadonlyMap<string, readonly (Uint8Array<ArrayBuffer> | null)[]>;

/** Everything that may open a layer, the keys path's first, then the payload's. */
export interface KeySet {
  readonly keys: readonly AsymmetricKey[];
  readonly certificates: readonly Certificate[];
  readonly pgp: readonly PgpKeyring[];
  readonly pkcs11: readonly Pkcs11KeyFile[];
  /** As the payload and the keys path gave them; what a key provider is handed is taken from here. */
  readonly parameters: Parameters;
  readonly skipped: readonly SkippedKey[];
}
