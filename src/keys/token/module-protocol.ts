/** The hash of RSA-OAEP and of its MGF1 (RFC 8017 §7.1). The label is always empty. */
export type OaepHash = "sha1" | "sha256";

/** Name of the helper process on the command line. */
export const HELPER = "pkcs11-module";

/** A request from `module.ts` to the helper process (`module-server.ts`). Bytes travel in the message's body. */
export type ModuleRequest =
  | { readonly op: "load"; readonly module: string }
  /** → {@link TokensReply} */
  | { readonly op: "tokens" }
  | { readonly op: "login"; readonly slotId: number; readonly pin: string }
  /** → {@link KeyReply} */
  | { readonly op: "find key"; readonly slotId: number; readonly key: KeySelector }
  | {
      readonly op: "start decryption";
      readonly slotId: number;
      readonly key: string;
      readonly hash: OaepHash;
    }
  /** Follows the start. Body: the ciphertext → body: the plaintext */
  | { readonly op: "decrypt"; readonly slotId: number }
  | {
      readonly op: "start encryption";
      readonly slotId: number;
      readonly key: string;
      readonly hash: OaepHash;
    }
  | { readonly op: "close" };

/** An initialized token in a slot. */
export interface Token {
  readonly slotId: number;
  readonly label: string;
  readonly serial: string;
  readonly manufacturer: string;
  readonly model: string;
  readonly loginRequired: boolean;
  readonly pinLocked: boolean;
  /** The next wrong PIN locks it. */
  readonly pinFinalTry: boolean;
}

export interface TokensReply {
  readonly tokens: readonly Token[];
}

/** An RSA key by CKA_CLASS, CKA_LABEL and CKA_ID (base64). */
export interface KeySelector {
  readonly class: "private" | "public";
  readonly label: string | undefined;
  readonly id: string | undefined;
}

export interface KeyReply {
  /** Handles of the matching keys, at most two. */
  readonly handles: readonly string[];
  /** Public numbers of the first key, big-endian, base64. Absent when the token withholds them. */
  readonly modulus?: string;
  readonly publicExponent?: string;
}
