import type { Bytes } from "../encoding/bytes.ts";
import type { AsymmetricKey, KeySet } from "../keys/keyset.ts";
import type { CertificateRules } from "../keys/recipient-certificate.ts";
import type { Secret } from "../secret.ts";

/**
 * The interface of a scheme, a family of wrapped keys. Each scheme is a folder with `unwrap.ts`, `wrap.ts` and `describe.ts`. It
 * imports this file, the keys and the rooms below, and no other scheme.
 */

/** A key in messages: one of the key set, or the name of another one ("alice.asc 0x51A3…", "token node"). */
export type KeyName = AsymmetricKey | string;

/** One failed attempt at opening a packet. Attempts are kept as data and rendered once, when no attempt succeeded. */
export interface Attempt {
  /** Recipient of the packet: "ECDH-ES+A256KW kid=node-1". */
  readonly recipient?: string;
  readonly key?: KeyName;
  /** Why the key did not open the packet, or was not tried: "the key does not fit". Holds nothing secret. */
  readonly outcome: string;
  /** Whether a passphrase, or another one, would make the key usable. */
  readonly isLocked?: boolean;
  /** What the user can do about it. */
  readonly hint?: string | undefined;
}

export interface Opened {
  /** The private options, JSON as the encrypting tool wrote it. */
  readonly options: Secret;
  readonly recipient?: string;
  readonly key?: KeyName;
}

/** The caller's wishes for schemes. Nothing in here comes from the image. */
export interface SchemeSettings {
  /** The process's environment: OCICRYPT_CONFIG, OCICRYPT_KEYPROVIDER_CONFIG, and what a provider's command inherits. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Longest wait for one answer of a key provider or a token. */
  readonly providerTimeoutMs: number;
  /** Sends a provider all parameters, private keys included, as Go does. */
  readonly providerLegacyDc: boolean;
  /** Adds a provider's own stderr to messages. */
  readonly verbose: boolean;
}

export interface UnwrapContext {
  readonly keys: KeySet;
  readonly settings: SchemeSettings;
  /** NAME of an annotation `provider.NAME`. Empty for schemes without names. */
  readonly name: string;
  /** Keeps an attempt that failed. */
  record(attempt: Attempt): void;
  /** Must be called before each private-key operation. @throws DecoderError LIMIT when the layer's budget is spent */
  spend(): void;
}

export interface UnwrapScheme {
  /**
   * Opens one packet, decoded from the annotation.
   * @returns null when no key here fits, after recording every attempt
   * @throws DecoderError BAD_PACKET for a malformed or refused packet; the caller goes on to the next one
   */
  unwrap(packet: Bytes, context: UnwrapContext): Promise<Opened | null>;
}

export interface WrapSettings extends SchemeSettings {
  /** gpg's home folder, for recipients that are names in its keyring. */
  readonly gpgHomedir?: string;
  /** Leaves out the names of recipients where the format allows it. */
  readonly isAnonymous?: boolean;
  /** Certificates to accept although they should not be encrypted for. None by default. */
  readonly certificates?: CertificateRules;
}

/** Wraps one layer's private options for all recipients that `prepare` received. */
export interface Wrapper {
  /** The annotation's name after `org.opencontainers.image.enc.keys.`: "jwe", "provider.kms". */
  readonly annotation: string;
  /**
   * @param present ids of recipients that the layer's other packets name, who need no packet again
   * @returns the packet; null when every recipient is present
   */
  wrap(options: Uint8Array, present?: ReadonlySet<string>): Promise<Uint8Array | null>;
}

export interface WrapScheme {
  /**
   * Reads and checks the recipients once, before any layer is touched.
   * @param recipients the texts after `jwe:` and its like, in the order given
   * @returns one wrapper for each annotation, since a second one would replace the packet of the first
   * @throws DecoderError BAD_RECIPIENT, which names the unusable recipient
   */
  prepare(recipients: readonly string[], settings: WrapSettings): Promise<readonly Wrapper[]>;
}

/** A recipient of a packet, as far as the packet names it without a key. */
export interface RecipientInfo {
  /** "RSA-OAEP", "ECDH-ES+A256KW", "rsaEncryption", "RSA", "pkcs11 sha1". */
  readonly algorithm?: string;
  /** A `kid`, a key ID, or issuer and serial number. */
  readonly id?: string;
  /** Files with the recipient's public key or certificate, of those that were compared. */
  readonly files?: readonly string[];
}

export interface DescribeScheme {
  /** @throws DecoderError BAD_PACKET */
  describe(packet: Bytes): readonly RecipientInfo[] | Promise<readonly RecipientInfo[]>;
  /**
   * Reads a recipient's public key or certificate, and returns the ids by which packets may name it.
   * @param recipient the text after `jwe:` and its like
   * @returns an empty list when the scheme's packets name no recipients
   * @throws DecoderError BAD_RECIPIENT
   */
  idsOf(recipient: string, settings: WrapSettings): Promise<readonly string[]>;
  /**
   * Like `idsOf`, for the one key that `encrypt` would take. Undefined where a recipient is never several keys.
   * @throws DecoderError BAD_RECIPIENT, also for several keys
   */
  idsOfOne?(recipient: string, settings: WrapSettings): Promise<readonly string[]>;
  /**
   * Removes recipients from a packet, without a key.
   * @returns null when none is left
   * @throws DecoderError BAD_PACKET
   */
  without(packet: Bytes, isRemoved: (recipient: RecipientInfo) => boolean): Bytes | null;
}
