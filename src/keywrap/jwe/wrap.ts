import jose from "node-jose";
import type { Wrapper, WrapSettings } from "../scheme.ts";
import { type RecipientKey, readRecipientKey } from "./recipient-key.ts";

const CONTENT_ENCRYPTION = "A256GCM";

/** Wraps for RSA and EC public keys, all in one JWE; see {@link WrapScheme}. */
export async function prepare(
  files: readonly string[],
  { certificates, isAnonymous = false }: WrapSettings,
): Promise<readonly Wrapper[]> {
  const keys = await Promise.all(files.map((file) => readRecipientKey(file, certificates)));
  const distinct = [...new Map(keys.map((key) => [key.thumbprint, key])).values()];
  return [
    {
      annotation: "jwe",
      async wrap(options, present) {
        const missing = distinct.filter((key) => !present?.has(key.kid) && !present?.has(key.thumbprint));
        return missing.length === 0 ? null : await wrapFor(missing, isAnonymous, options);
      },
    },
  ];
}

/**
 * Writes the serializations that the peers write. One recipient is flattened, with everything in the protected header. Several
 * are general, because their alg, epk and kid differ.
 */
async function wrapFor(
  recipients: readonly RecipientKey[],
  isAnonymous: boolean,
  options: Uint8Array,
): Promise<Uint8Array> {
  const isSingle = recipients.length === 1;
  const keys = await Promise.all(
    recipients.map(async ({ jwk, alg, kid }) => ({
      key: await jose.JWK.asKey({ ...jwk }),
      header: { alg, ...(!isAnonymous && { kid }) },
      // Otherwise node-jose adds a kid of its own making.
      reference: false,
    })),
  );
  const format = {
    format: isSingle ? "flattened" : "general",
    contentAlg: CONTENT_ENCRYPTION,
    protect: isSingle ? "*" : ["enc"],
  } as const;
  // The types declare bare keys only, but node-jose documents recipients with headers of their own.
  const encryption = jose.JWE.createEncrypt(
    format as jose.JWE.EncryptOptions,
    keys as unknown as jose.JWK.Key[],
  );
  const jwe: unknown = await encryption.update(Buffer.from(options)).final();
  return new TextEncoder().encode(JSON.stringify(jwe));
}
