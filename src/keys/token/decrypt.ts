import { decodeBase64 } from "../../encoding/base64.ts";
import type { Bytes } from "../../encoding/bytes.ts";
import { Secret } from "../../secret.ts";
import { type TokenContext, TokenKeyring } from "./keyring.ts";
import { TokenModule } from "./module.ts";
import type { OaepHash } from "./module-protocol.ts";
import { type OpenKey, openKey, type TokenKey } from "./token-key.ts";

/** A ciphertext of RSA-OAEP with an empty label (RFC 8017 §7.1). */
interface OaepCiphertext {
  /** The hash of OAEP and of its MGF1. */
  readonly hash: OaepHash;
  /** As long as the key's modulus. */
  readonly bytes: Bytes;
  /** For messages: "RSA-3072 OAEP sha256". */
  readonly recipient: string;
}

/** A ciphertext that a token opened. */
interface TokenPlaintext<C extends OaepCiphertext> {
  readonly plaintext: Secret;
  readonly ciphertext: C;
  /** For messages: `node.yaml (token "hsm-1")`. */
  readonly key: string;
}

/** C_Decrypt errors that concern the token or the mechanism rather than the ciphertext. */
const TOKEN_FAILURES: ReadonlySet<string> = new Set([
  "CKR_DEVICE_ERROR",
  "CKR_DEVICE_MEMORY",
  "CKR_DEVICE_REMOVED",
  "CKR_FUNCTION_NOT_SUPPORTED",
  "CKR_HOST_MEMORY",
  "CKR_KEY_FUNCTION_NOT_PERMITTED",
  "CKR_MECHANISM_INVALID",
  "CKR_MECHANISM_PARAM_INVALID",
  "CKR_PIN_EXPIRED",
  "CKR_SESSION_CLOSED",
  "CKR_SESSION_HANDLE_INVALID",
  "CKR_TOKEN_NOT_PRESENT",
  "CKR_USER_NOT_LOGGED_IN",
]);

/**
 * Decrypts the first ciphertext that a key on a token fits.
 * @returns null when none fits, after recording every attempt
 * @throws DecoderError PKCS11 when no key on a token could be used at all
 */
export async function decryptOnTokens<C extends OaepCiphertext>(
  ciphertexts: readonly C[],
  context: TokenContext,
): Promise<TokenPlaintext<C> | null> {
  const keyring = TokenKeyring.of(context);
  return await keyring.exclusively(async () => {
    const search = new Search(ciphertexts, keyring, context);
    for (const keys of keyring.byModule()) {
      const opened = await search.askModule(keys);
      if (opened !== null) return opened;
    }
    keyring.reportRefusals(context);
    return null;
  });
}

type KeysOfModule = readonly [TokenKey, ...TokenKey[]];

class Search<C extends OaepCiphertext> {
  readonly #ciphertexts: readonly C[];
  readonly #keyring: TokenKeyring;
  readonly #context: TokenContext;

  constructor(ciphertexts: readonly C[], keyring: TokenKeyring, context: TokenContext) {
    this.#ciphertexts = ciphertexts;
    this.#keyring = keyring;
    this.#context = context;
  }

  async askModule(keys: KeysOfModule): Promise<TokenPlaintext<C> | null> {
    const { time } = this.#keyring;
    const place = { path: keys[0].module, environment: keys[0].environment, time };
    try {
      const opened = await TokenModule.use(place, this.#context.settings, (module) =>
        this.#tryKeys(module, keys),
      );
      if (opened !== null) time.restart();
      return opened;
    } catch (error) {
      this.#keyring.refuse(keys, error);
      return null;
    }
  }

  async #tryKeys(module: TokenModule, keys: KeysOfModule): Promise<TokenPlaintext<C> | null> {
    /** Slot and handle → the first key file that names this key. */
    const tried = new Map<string, string>();
    for (const key of keys) {
      try {
        const open = await openKey(module, key, "private", this.#keyring.refusedPins);
        const identity = `${open.slotId} ${open.handle}`;
        const before = tried.get(identity);
        tried.set(identity, before ?? key.origin);
        if (before !== undefined) {
          this.#context.record({ key: open.name, outcome: `the same key as ${before}` });
          continue;
        }
        const opened = await this.#tryKey(module, open);
        if (opened !== null) return opened;
      } catch (error) {
        this.#keyring.refuse([key], error);
      }
    }
    return null;
  }

  async #tryKey(module: TokenModule, key: OpenKey): Promise<TokenPlaintext<C> | null> {
    const size = modulusBytes(key);
    const fitting = this.#ciphertexts.filter(({ bytes }) => size === undefined || bytes.length === size);
    if (fitting.length === 0) {
      const outcome = `no recipient has an RSA key of ${(size ?? 0) * 8} bits`;
      this.#context.record({ key: key.name, outcome });
    }
    for (const ciphertext of fitting) {
      this.#context.spend();
      const result = await decrypt(module, key, ciphertext);
      if (result instanceof Secret) return { plaintext: result, ciphertext, key: key.name };
      this.#context.record({ recipient: ciphertext.recipient, key: key.name, outcome: result });
    }
    return null;
  }
}

/** The plaintext, or why decryption failed. */
async function decrypt(
  module: TokenModule,
  { slotId, handle }: OpenKey,
  { hash, bytes }: OaepCiphertext,
): Promise<Secret | string> {
  const refusal = await module.startDecryption(slotId, handle, hash);
  if (refusal !== null) return `the token refuses RSA-OAEP with ${hash}: ${refusal.refused}`;
  const result = await module.decrypt(slotId, bytes);
  if (!("refused" in result)) return new Secret(result);
  // RFC 8017 §7.1.2: the ways in which decryption fails must look alike.
  return TOKEN_FAILURES.has(result.refused) ? `the token failed: ${result.refused}` : "the key does not fit";
}

/** PKCS#11 writes a modulus without leading zeros. */
function modulusBytes({ modulus }: OpenKey): number | undefined {
  return modulus === undefined ? undefined : decodeBase64(modulus)?.length;
}
