import { createPublicKey, type KeyObject } from "node:crypto";
import { decodeBase64, encodeBase64Url } from "../../encoding/base64.ts";
import type { Bytes } from "../../encoding/bytes.ts";
import { DecoderError } from "../../errors.ts";
import { parsePublicKey } from "../../keys/public-key.ts";
import { badRecipient, type NamedRecipient, readRecipientFile } from "../../keys/recipient.ts";
import { rsaSizeProblem } from "../../keys/rsa.ts";
import { TimeBudget, TokenModule } from "../../keys/token/module.ts";
import { loadPolicies } from "../../keys/token/module-policy.ts";
import type { OaepHash } from "../../keys/token/module-protocol.ts";
import { openKey, prepareKey } from "../../keys/token/token-key.ts";
import type { WrapSettings } from "../scheme.ts";

const SEQUENCE = 0x30;

/**
 * Reads a recipient's RSA public key. The file holds the key or certificate itself, as PEM, DER or JWK, or it is a key file that
 * names a token, which then returns the public numbers.
 * @throws DecoderError BAD_RECIPIENT
 */
export async function readRecipientKey(
  recipient: NamedRecipient,
  hash: OaepHash,
  settings: WrapSettings,
): Promise<KeyObject> {
  const bytes = await readRecipientFile(recipient);
  const text = Buffer.from(bytes).toString("latin1");
  const isPublicKey = text.includes("-----BEGIN ") || bytes[0] === SEQUENCE || /^\s*\{\s*"k/.test(text);
  const key = isPublicKey
    ? parsePublicKey(bytes, recipient, settings.certificates).key
    : await tokenKey(bytes, recipient, hash, settings);
  if (key.asymmetricKeyType !== "rsa") throw badRecipient(recipient, "has a key other than RSA");
  const problem = rsaSizeProblem(key.asymmetricKeyDetails?.modulusLength ?? 0);
  if (problem !== null) throw badRecipient(recipient, `is ${problem}`);
  return key;
}

/** The token returns the public numbers, and confirms that it supports the hash, which decryption will need. */
async function tokenKey(
  yaml: Bytes,
  recipient: NamedRecipient,
  hash: OaepHash,
  settings: WrapSettings,
): Promise<KeyObject> {
  try {
    const key = prepareKey(yaml, recipient.file, loadPolicies(settings.environment, new Map()));
    const time = new TimeBudget(settings.providerTimeoutMs);
    const place = { path: key.module, environment: key.environment, time };
    return await TokenModule.use(place, settings, async (module) => {
      const { slotId, handle, modulus, publicExponent } = await openKey(module, key, "public", new Set());
      const refusal = await module.startEncryption(slotId, handle, hash);
      if (refusal !== null) {
        const what = `is on a token that refuses RSA-OAEP with ${hash}: ${refusal.refused}`;
        throw badRecipient(recipient, what);
      }
      const jwk = { kty: "RSA", n: base64UrlOf(modulus), e: base64UrlOf(publicExponent) };
      return createPublicKey({ key: jwk, format: "jwk" });
    });
  } catch (error) {
    if (!(error instanceof DecoderError) || error.code === "BAD_RECIPIENT") throw error;
    throw badRecipient(recipient, `can't be used: ${error.message}`, error.hint);
  }
}

function base64UrlOf(base64: string | undefined): string {
  return encodeBase64Url(decodeBase64(base64 ?? "") ?? new Uint8Array(0));
}
