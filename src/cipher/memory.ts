import type { LayerOptions } from "./options.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/**
 * Verifies and decrypts a whole layer at once, both on WebCrypto's thread pool at the same time; the plaintext leaves
 * this function only when the HMAC holds. Small layers thus never load node:crypto.
 * @returns null when the layer is not authentic
 */
export async function openInMemory(ciphertext: Bytes, options: LayerOptions): Promise<Bytes | null> {
  const { key, nonce, hmac } = options;
  const [macKey, cipherKey] = await Promise.all([
    crypto.subtle.importKey("raw", key.bytes, { name: "HMAC", hash: "SHA-256" }, false, ["verify"]),
    crypto.subtle.importKey("raw", key.bytes, "AES-CTR", false, ["decrypt"]),
  ]);
  // All 16 bytes of the nonce count up, as Go's cipher.NewCTR does: a length of 128 bits.
  const counter = { name: "AES-CTR", counter: nonce, length: 128 };
  const [authentic, plaintext] = await Promise.all([
    crypto.subtle.verify("HMAC", macKey, hmac, ciphertext),
    crypto.subtle.decrypt(counter, cipherKey, ciphertext),
  ]);
  return authentic ? new Uint8Array(plaintext) : null;
}
