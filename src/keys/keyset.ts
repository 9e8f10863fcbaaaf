import type { Bytes } from "../encoding/bytes.ts";
import type { Secret } from "../secret.ts";

export type Curve = "P-256" | "P-384" | "P-521";

interface KeyBase {
  /** PKCS#8 PrivateKeyInfo (RFC 5208), DER, for every original form of the key. */
  readonly pkcs8: Secret;
  /** Where the key came from, for messages: a path below the keys path, or "payload privkeys[0]". */
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
  readonly modulus: Bytes;
}

export interface EcKey extends KeyBase {
  readonly type: "ec";
  readonly curve: Curve;
}

export type AsymmetricKey = RsaKey | EcKey;

export interface Certificate {
  /** X.509, DER. Only its outer structure was checked. */
  readonly der: Bytes;
  readonly origin: string;
}

export interface PgpKeyring {
  /** OpenPGP transferable keys, binary or ASCII-armoured. Only the packet headers were checked. */
  readonly data: Bytes;
  readonly origin: string;
  /** Passphrases to try, in order. Empty for an unprotected key. */
  readonly passphrases: readonly Secret[];
}

export interface TokenKeyFile {
  /** The YAML text (`pkcs11: {uri: …}`, `module: {env: …}`), not parsed yet. May hold a PIN. */
  readonly yaml: Secret;
  readonly origin: string;
}

/** Why data is not a usable key. */
export interface Unusable {
  readonly reason: string;
  /** Whether a password, or another one, would make the key usable. */
  readonly isLocked?: boolean;
}

/** Unusable data among the keys, reported when the layer does not open. */
export interface SkippedKey extends Unusable {
  readonly origin: string;
}

/** ocicrypt's DecryptConfig.Parameters: lists of raw values by name ("privkeys", "x509s", a provider's name). */
export type Parameters = ReadonlyMap<string, readonly (Bytes | null)[]>;

/** Everything that may open a layer: first the keys path's, then the payload's. */
export interface KeySet {
  readonly keys: readonly AsymmetricKey[];
  readonly certificates: readonly Certificate[];
  /** OpenPGP keyrings. */
  readonly keyrings: readonly PgpKeyring[];
  /** Key files that name a key on a PKCS#11 token. */
  readonly tokenKeys: readonly TokenKeyFile[];
  /** The payload's and the keys path's parameters, as they came. Key providers receive a part of them. */
  readonly parameters: Parameters;
  readonly skipped: readonly SkippedKey[];
  /** Advice for a set without keys. */
  readonly advice?: string;
}
