import type { OaepHash } from "./message.ts";

/** What the helper process is asked (`module-client.ts`) and does (`module-server.ts`). Bytes are in the message's body. */
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
  /** After the start. Body: what was encrypted → body: the plaintext */
  | { readonly op: "decrypt"; readonly slotId: number }
  | {
      readonly op: "start encryption";
      readonly slotId: number;
      readonly key: string;
      readonly hash: OaepHash;
    }
  | { readonly op: "close" };

/** A token that is initialized, and in a slot. */
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
  /** The handles of the keys that match, two at most. */
  readonly handles: readonly string[];
  /** Of the first key, big-endian, base64; absent where the token doesn't tell. */
  readonly modulus?: string;
  readonly publicExponent?: string;
}

/** The reply when the module refused or could not be loaded. */
export interface FailureReply {
  /** "CKR_PIN_INCORRECT", or the loader's words. */
  readonly failure: string;
}
