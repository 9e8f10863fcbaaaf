import type { AsymmetricKey, KeySet } from "../keys/keyset.ts";
import type { Secret } from "../secret.ts";

/**
 * What a scheme (a family of wrapped keys) is made of. Each scheme is a folder with `unwrap.ts`, `wrap.ts` and
 * `describe.ts`; it knows this file, the keys and the leaves, and no other scheme.
 */

/** A key in messages: one of the key set, or the name of what else was asked ("alice.asc 0x51A3…", "token node"). */
export type KeyName = AsymmetricKey | string;

/** One try at opening a packet, kept as data and rendered once, when no try succeeded. */
export interface Attempt {
  /** Which of the packet's recipients: "ECDH-ES+A256KW kid=node-1". */
  readonly recipient?: string;
  readonly key?: KeyName;
  /** Why it did not open, or why it was not tried: "the key does not fit". Nothing secret. */
  readonly outcome: string;
}

export interface Opened {
  /** The private options, JSON as the encrypting tool wrote it. */
  readonly options: Secret;
  readonly recipient?: string;
  readonly key?: KeyName;
}

/** How the caller wants schemes to behave; nothing in here is from the image. */
export interface SchemeSettings {
  /** The process's environment: OCICRYPT_CONFIG, OCICRYPT_KEYPROVIDER_CONFIG, and what a provider's command inherits. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly providerTimeoutMs: number;
  /** Hands a provider all parameters, private keys included, as Go does. */
  readonly providerLegacyDc: boolean;
  /** Adds a provider's own stderr to messages. */
  readonly verbose: boolean;
  /** What to do where no key is at hand; the decoder's own advice by default. */
  readonly keysHint?: string;
}

export interface UnwrapContext {
  readonly keys: KeySet;
  readonly settings: SchemeSettings;
  /** For `provider.NAME`: the NAME. Empty for the other schemes. */
  readonly providerName: string;
  record(attempt: Attempt): void;
  /** Call before each private-key operation. Throws LIMIT once the layer has had its share. */
  spend(): void;
}

export interface UnwrapScheme {
  /**
   * Opens one packet (decoded from the annotation) with the keys at hand.
   * @returns null when no key here fits, after recording what was tried
   * @throws DecoderError BAD_PACKET for a malformed or refused packet; the driver goes on to the next one
   */
  unwrap(packet: Uint8Array<ArrayBuffer>, context: UnwrapContext): Promise<Opened | null>;
}

export interface WrapSettings extends SchemeSettings {
  /** gpg's home for `pgp:` names that are no file. */
  readonly gpgHomedir?: string;
}

/** Wraps one layer's private options for all recipients that `prepare` was given. */
export interface Wrapper {
  /** The annotation's name after `org.opencontainers.image.enc.keys.`: "jwe", "provider.kms". */
  readonly annotation: string;
  wrap(options: Uint8Array): Promise<Uint8Array>;
}

export interface WrapScheme {
  /**
   * Reads and checks the recipients once, before any layer is touched.
   * @param recipients what stands after `jwe:` and its like, in the order given
   * @throws DecoderError BAD_RECIPIENT naming the one that can't be used
   */
  prepare(recipients: readonly string[], settings: WrapSettings): Promise<readonly Wrapper[]>;
}

/** For whom a packet is, as far as it tells without a key. */
export interface RecipientInfo {
  /** "RSA-OAEP", "ECDH-ES+A256KW", "rsaEncryption", "RSA", "pkcs11 sha1". */
  readonly algorithm?: string;
  /** A `kid`, key id, or issuer and serial number. */
  readonly id?: string;
}

export interface DescribeScheme {
  /** @throws DecoderError BAD_PACKET */
  describe(packet: Uint8Array<ArrayBuffer>): readonly RecipientInfo[] | Promise<readonly RecipientInfo[]>;
}
