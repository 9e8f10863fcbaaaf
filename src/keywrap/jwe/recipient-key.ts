import type { JsonObject } from "../../encoding/json.ts";
import { parsePublicKey } from "../../keys/public-key.ts";
import { readRecipientFile } from "../../keys/recipient.ts";
import type { CertificateRules } from "../../keys/recipient-certificate.ts";
import { thumbprint } from "../../keys/thumbprint.ts";
import * as LIMITS from "../../system-limits.ts";
import { keyAlgorithmOf } from "./algorithms.ts";

export interface RecipientKey {
  /** The public key alone: kty, n, e or crv, x, y. */
  readonly jwk: JsonObject;
  /** One of the five key algorithms. */
  readonly alg: string;
  /** The key's name: a JWK's own `kid` unless it is empty or too long, or else the thumbprint. */
  readonly kid: string;
  readonly thumbprint: string;
}

/** Reads a recipient's public key, certificate or JWK. @throws DecoderError BAD_RECIPIENT */
export async function readRecipientKey(file: string, rules?: CertificateRules): Promise<RecipientKey> {
  const recipient = { scheme: "jwe", file };
  const { jwk, alg, kid } = parsePublicKey(await readRecipientFile(recipient), recipient, rules);
  const print = thumbprint(jwk);
  const isName = kid !== undefined && kid !== "" && kid.length <= LIMITS.kidChars;
  return { jwk, alg: keyAlgorithm(jwk, alg), kid: isName ? kid : print, thumbprint: print };
}

/** A JWK's own algorithm if it is allowed and fits the key, else the one that ocicrypt uses for this type of key. */
function keyAlgorithm(jwk: JsonObject, own: string | undefined): string {
  const isRsa = jwk["kty"] === "RSA";
  const fits = keyAlgorithmOf(own)?.type === (isRsa ? "rsa" : "ecdh");
  if (fits && own !== undefined) return own;
  return isRsa ? "RSA-OAEP" : "ECDH-ES+A256KW";
}
