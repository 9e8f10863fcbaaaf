import { decryptOnTokens } from "../../keys/token/decrypt.ts";
import { Secret } from "../../secret.ts";
import type { Opened, UnwrapContext } from "../scheme.ts";
import type { ContentAlgorithm } from "./algorithms.ts";
import { decryptContent } from "./content.ts";
import type { JweMessage } from "./message.ts";
import { describeRecipient, wrappedCek } from "./recipient.ts";

/** Opens a JWE whose private RSA key is on a PKCS#11 token (RFC 7518 §4.3). Null when no key there fits. */
export async function openOnTokens(
  jwe: JweMessage,
  content: ContentAlgorithm,
  context: UnwrapContext,
): Promise<Opened | null> {
  const ciphertexts = jwe.recipients.flatMap((recipient) => {
    const wrapped = wrappedCek(recipient, content);
    if ("reason" in wrapped || wrapped.type !== "rsa") return [];
    const hash = wrapped.hash === "SHA-1" ? ("sha1" as const) : ("sha256" as const);
    return [{ hash, bytes: wrapped.encryptedKey, recipient: describeRecipient(recipient) }];
  });
  if (ciphertexts.length === 0) return null;
  const found = await decryptOnTokens(ciphertexts, context);
  if (found === null) return null;
  const { plaintext: cek, ciphertext, key } = found;
  const { recipient } = ciphertext;
  try {
    const isKey = cek.bytes.length === content.keyBytes;
    const options = isKey ? await decryptContent(content, cek.bytes, jwe) : null;
    if (options !== null) return { options: new Secret(options), recipient, key };
    context.record({ recipient, key, outcome: "the key does not fit" });
    return null;
  } finally {
    cek.destroy();
  }
}
