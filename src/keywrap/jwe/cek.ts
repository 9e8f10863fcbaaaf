import { type Bytes, concat } from "../../encoding/bytes.ts";
import type { AsymmetricKey, EcKey, RsaKey } from "../../keys/keyset.ts";
import { CURVE_BITS } from "./algorithms.ts";
import type { WrappedCek } from "./recipient.ts";

/**
 * Unwraps content encryption keys with WebCrypto. Both runtimes have it, it checks points and key-wrap integrity correctly,
 * and unlike node:crypto it costs the hot path no loading time.
 */
export class CekUnwrapper {
  readonly #imported = new Map<AsymmetricKey, Map<string, Promise<CryptoKey>>>();
  readonly #importedEpks = new Map<WrappedCek, Promise<CryptoKey>>();

  /** Returns the content encryption key. Null when this key does not fit, whichever step failed. */
  async unwrap(wrapped: WrappedCek, key: AsymmetricKey, cekBytes: number): Promise<Bytes | null> {
    try {
      const cek =
        wrapped.type === "rsa"
          ? await this.#rsaOaep(wrapped, key as RsaKey)
          : await this.#ecdh(wrapped, key as EcKey);
      return cek.length === cekBytes ? cek : null;
    } catch {
      return null;
    }
  }

  /** RFC 7518 §4.3. */
  async #rsaOaep(wrapped: WrappedCek & { type: "rsa" }, key: RsaKey): Promise<Bytes> {
    const privateKey = await this.#import(key, { name: "RSA-OAEP", hash: wrapped.hash }, "decrypt");
    return new Uint8Array(
      await crypto.subtle.decrypt({ name: "RSA-OAEP" }, privateKey, wrapped.encryptedKey),
    );
  }

  /** RFC 7518 §4.6 and §4.4. */
  async #ecdh(wrapped: WrappedCek & { type: "ecdh" }, key: EcKey): Promise<Bytes> {
    const curve = { name: "ECDH", namedCurve: wrapped.curve };
    const privateKey = await this.#import(key, curve, "deriveBits");
    const epk = await this.#importEpk(wrapped, curve);
    const derivation = { name: "ECDH", public: epk };
    const secret = new Uint8Array(
      await crypto.subtle.deriveBits(derivation, privateKey, CURVE_BITS[wrapped.curve]),
    );
    const kek = await concatKdf(secret, wrapped.otherInfo, wrapped.kekBytes);
    secret.fill(0);
    return unwrapAesKw(kek, wrapped.encryptedKey);
  }

  #importEpk(
    wrapped: WrappedCek & { type: "ecdh" },
    curve: { name: string; namedCurve: string },
  ): Promise<CryptoKey> {
    const epk =
      this.#importedEpks.get(wrapped) ?? crypto.subtle.importKey("raw", wrapped.epk, curve, false, []);
    this.#importedEpks.set(wrapped, epk);
    return epk;
  }

  #import(
    key: AsymmetricKey,
    algorithm: { name: string; hash?: string; namedCurve?: string },
    usage: "decrypt" | "deriveBits",
  ): Promise<CryptoKey> {
    const forKey = this.#imported.get(key) ?? new Map<string, Promise<CryptoKey>>();
    this.#imported.set(key, forKey);
    const variant = algorithm.hash ?? "";
    const imported =
      forKey.get(variant) ?? crypto.subtle.importKey("pkcs8", key.pkcs8.bytes, algorithm, false, [usage]);
    forKey.set(variant, imported);
    return imported;
  }
}

/** RFC 7518 §4.6.2: one round of NIST SP 800-56A's Concat KDF with SHA-256 is enough for every key-wrapping key. */
async function concatKdf(secret: Bytes, otherInfo: Bytes, length: number): Promise<Bytes> {
  const input = concat(Uint8Array.of(0, 0, 0, 1), secret, otherInfo);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", input));
  input.fill(0);
  return digest.slice(0, length);
}

/** RFC 3394. WebCrypto unwraps only into a key object. An HMAC key may have any length, and can be exported. */
export async function unwrapAesKw(kek: Bytes, wrapped: Bytes): Promise<Bytes> {
  const kw = await crypto.subtle.importKey("raw", kek, "AES-KW", false, ["unwrapKey"]);
  kek.fill(0);
  const hmac = { name: "HMAC", hash: "SHA-256" };
  const key = await crypto.subtle.unwrapKey("raw", wrapped, kw, "AES-KW", hmac, true, ["sign"]);
  return new Uint8Array(await crypto.subtle.exportKey("raw", key));
}
