import jose from "node-jose";
import type { Wrapper, WrapSettings } from "../scheme.ts";
import { type JweRecipientKey, readRecipientKey } from "./public-key.ts";

const CONTENT_ENCRYPTION = "A256GCM";

/** Wraps for RSA and EC public keys, all in one JWE; see {@link WrapScheme}. */
export async function prepare(
  recipients: readonly string[],
  _settings: WrapSettings,
): Promise<readonly Wrapper[]> {
  const keys = recipients.map(readRecipientKey);
  return [{ annotation: "jwe", wrap: (options) => wrapFor(keys, options) }];
}

/**
 * The serializations that the peers write: flattened for one recipient, with everything in the protected header, and
 * general for several, whose alg, epk and kid differ.
 */
async function wrapFor(keys: readonly JweRecipientKey[], options: Uint8Array): Promise<Uint8Array> {
  const single = keys.length === 1;
  const recipients = await Promise.all(
    keys.map(async ({ jwk, alg, kid }) => ({
      key: await jose.JWK.asKey({ ...jwk }),
      header: { alg, ...(kid === undefined ? {} : { kid }) },
      // node-jose would add a kid of its own making, which no peer's key has.
      reference: false,
    })),
  );
  const format = {
    format: single ? "flattened" : "general",
    contentAlg: CONTENT_ENCRYPTION,
    protect: single ? "*" : ["enc"],
  } as const;
  // The type definitions know of bare keys only; node-jose documents recipients with a header of their own.
  const encryption = jose.JWE.createEncrypt(
    format as jose.JWE.EncryptOptions,
    recipients as unknown as jose.JWK.Key[],
  );
  const jwe: unknown = await encryption.update(Buffer.from(options)).final();
  return new TextEncoder().encode(JSON.stringify(jwe));
}
