import { createPublicKey, type KeyObject } from "node:crypto";
import { decodeBase64, encodeBase64Url } from "../../encoding/base64.ts";
import { DecoderError, describeSystemError } from "../../errors.ts";
import { readSmallFile } from "../../io/file.ts";
import { parsePrivateKey } from "../../keys/private-key.ts";
import { publicHalfHint } from "../../keys/public-half.ts";
import { LIMITS } from "../../limits.ts";
import type { SchemeSettings } from "../scheme.ts";
import type { OaepHash } from "./message.ts";
import { TokenModule } from "./module-client.ts";
import { loadPolicies } from "./module-policy.ts";
import { TimeBudget } from "./time-budget.ts";
import { openKey, prepareKey } from "./token-key.ts";

const SEQUENCE = 0x30;

/**
 * The RSA key of a recipient: a key file names a token, which is asked for it, or the file holds the public key itself,
 * as PEM or DER.
 * @throws DecoderError BAD_RECIPIENT
 */
export async function readRecipientKey(
  file: string,
  hash: OaepHash,
  settings: SchemeSettings,
): Promise<KeyObject> {
  let bytes: Uint8Array<ArrayBuffer>;
  try {
    bytes = readSmallFile(file, LIMITS.pkcs11FileBytes);
  } catch (error) {
    throw badRecipient(file, `can't be read: ${describeSystemError(error)}`);
  }
  const text = Buffer.from(bytes.buffer).toString("latin1");
  if (/-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(text) || parsePrivateKey(bytes, { origin: file }) !== null) {
    throw badRecipient(file, "is a private key", publicHalfHint("pkcs11", file));
  }
  const isKey = text.includes("-----BEGIN ") || bytes[0] === SEQUENCE;
  const key = isKey ? parsePublicKey(bytes) : await tokenKey(bytes, file, hash, settings);
  const bits = key?.asymmetricKeyDetails?.modulusLength ?? 0;
  if (key?.asymmetricKeyType !== "rsa") throw badRecipient(file, "holds no RSA public key");
  if (bits < LIMITS.rsaBitsMin || bits > LIMITS.rsaBitsMax) {
    throw badRecipient(
      file,
      `has an RSA key of ${bits} bits, and ${LIMITS.rsaBitsMin} to ${LIMITS.rsaBitsMax} are allowed`,
    );
  }
  return key;
}

function parsePublicKey(bytes: Uint8Array<ArrayBuffer>): KeyObject | null {
  const key = Buffer.from(bytes);
  const forms = [
    { key, format: "pem" },
    { key, format: "der", type: "spki" },
    { key, format: "der", type: "pkcs1" },
  ] as const;
  for (const form of forms) {
    try {
      return createPublicKey(form);
    } catch {
      // The next form.
    }
  }
  return null;
}

/** Only the public numbers come from the token. It is asked whether it would use them so: then it will also decrypt. */
async function tokenKey(
  yaml: Uint8Array,
  file: string,
  hash: OaepHash,
  settings: SchemeSettings,
): Promise<KeyObject> {
  try {
    const key = prepareKey(yaml, file, loadPolicies(settings.environment, new Map()));
    return await TokenModule.use(
      key.module,
      key.environment,
      settings,
      new TimeBudget(settings.providerTimeoutMs),
      async (module) => {
        const { slotId, handle, modulus, publicExponent } = await openKey(module, key, "public", new Set());
        const refusal = await module.startEncryption(slotId, handle, hash);
        if (refusal !== null)
          throw badRecipient(file, `is on a token that refuses RSA-OAEP with ${hash}: ${refusal.refused}`);
        const jwk = { kty: "RSA", n: base64UrlOf(modulus), e: base64UrlOf(publicExponent) };
        return createPublicKey({ key: jwk, format: "jwk" });
      },
    );
  } catch (cause) {
    if (!(cause instanceof DecoderError) || cause.code === "BAD_RECIPIENT") throw cause;
    throw new DecoderError("BAD_RECIPIENT", `the recipient pkcs11:${file} can't be used: ${cause.message}`, {
      ...(cause.hint === undefined ? {} : { hint: cause.hint }),
      cause,
    });
  }
}

function base64UrlOf(base64: string | undefined): string {
  return encodeBase64Url(decodeBase64(base64 ?? "") ?? new Uint8Array(0));
}

export function badRecipient(file: string, what: string, hint?: string): DecoderError {
  return new DecoderError(
    "BAD_RECIPIENT",
    `the recipient pkcs11:${file} ${what}`,
    hint === undefined ? {} : { hint },
  );
}
