import { type Bytes, concat, equalConstantTime } from "../../encoding/bytes.ts";
import type { ContentAlgorithm } from "./algorithms.ts";
import type { JweMessage } from "./message.ts";

/** Decrypts the content (RFC 7516 §5.2 step 16). Null for every failure: wrong tags, paddings and lengths look alike. */
export function decryptContent(
  algorithm: ContentAlgorithm,
  cek: Bytes,
  jwe: JweMessage,
): Promise<Bytes | null> {
  return algorithm.hash === undefined
    ? decryptGcm(cek, jwe)
    : decryptCbc(algorithm, algorithm.hash, cek, jwe);
}

/** RFC 7518 §5.3. */
async function decryptGcm(
  cek: Bytes,
  { iv, additionalData, ciphertext, tag }: JweMessage,
): Promise<Bytes | null> {
  const key = await crypto.subtle.importKey("raw", cek, "AES-GCM", false, ["decrypt"]);
  try {
    const parameters = { name: "AES-GCM", iv, additionalData, tagLength: tag.length * 8 };
    return new Uint8Array(await crypto.subtle.decrypt(parameters, key, concat(ciphertext, tag)));
  } catch {
    return null;
  }
}

/** RFC 7518 §5.2: the first half of the key is for HMAC, the second for AES-CBC. The MAC is truncated to half its length. */
async function decryptCbc(
  algorithm: ContentAlgorithm,
  hash: string,
  cek: Bytes,
  jwe: JweMessage,
): Promise<Bytes | null> {
  const half = algorithm.keyBytes / 2;
  const macKey = await crypto.subtle.importKey("raw", cek.slice(0, half), { name: "HMAC", hash }, false, [
    "sign",
  ]);
  const encKey = await crypto.subtle.importKey("raw", cek.slice(half), "AES-CBC", false, ["decrypt"]);
  const aadBits = new Uint8Array(8);
  new DataView(aadBits.buffer).setBigUint64(0, BigInt(jwe.additionalData.length) * 8n);
  const signed = concat(jwe.additionalData, jwe.iv, jwe.ciphertext, aadBits);
  const mac = new Uint8Array(await crypto.subtle.sign("HMAC", macKey, signed));
  if (!equalConstantTime(mac.subarray(0, algorithm.tagBytes), jwe.tag)) return null;
  try {
    return new Uint8Array(
      await crypto.subtle.decrypt({ name: "AES-CBC", iv: jwe.iv }, encKey, jwe.ciphertext),
    );
  } catch {
    return null;
  }
}
