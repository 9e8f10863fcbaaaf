import jose from "node-jose";
import type { JsonObject } from "../../encoding/json.ts";
import { parsePublicKey } from "../../keys/public-key.ts";
import { readRecipientFile } from "../../keys/recipient.ts";
import { thumbprint } from "../../keys/thumbprint.ts";
import type { Wrapper, WrapSettings } from "../scheme.ts";
import { KEY_ALGORITHMS } from "./algorithms.ts";

const CONTENT_ENCRYPTION = "A256GCM";

interface Recipient {
  readonly jwk: JsonObject;
  /** One of the five key algorithms. */
  readonly alg: string;
  /** The key's name. Undefined for an anonymous recipient. */
  readonly kid?: string;
}

/** Wraps for RSA and EC public keys, all in one JWE; see {@link WrapScheme}. */
export async function prepare(files: readonly string[], settings: WrapSettings): Promise<readonly Wrapper[]> {
  const recipients = await Promise.all(files.map((file) => readRecipient(file, settings)));
  return [{ annotation: "jwe", wrap: (options) => wrapFor(recipients, options) }];
}

async function readRecipient(file: string, settings: WrapSettings): Promise<Recipient> {
  const recipient = { scheme: "jwe", file };
  const data = await readRecipientFile(recipient);
  const { jwk, alg, kid } = parsePublicKey(data, recipient, settings.certificates);
  const name = settings.isAnonymous ? {} : { kid: kid ?? thumbprint(jwk) };
  return { jwk, alg: keyAlgorithm(jwk, alg), ...name };
}

/** A JWK's own algorithm if it is allowed and fits the key, else the one that ocicrypt uses for this type of key. */
function keyAlgorithm(jwk: JsonObject, own: string | undefined): string {
  const isRsa = jwk["kty"] === "RSA";
  const fits = KEY_ALGORITHMS.get(own)?.type === (isRsa ? "rsa" : "ecdh");
  if (fits && own !== undefined) return own;
  return isRsa ? "RSA-OAEP" : "ECDH-ES+A256KW";
}

/**
 * Writes the serializations that the peers write. One recipient is flattened, with everything in the protected header. Several
 * are general, because their alg, epk and kid differ.
 */
async function wrapFor(recipients: readonly Recipient[], options: Uint8Array): Promise<Uint8Array> {
  const isSingle = recipients.length === 1;
  const keys = await Promise.all(
    recipients.map(async ({ jwk, alg, kid }) => ({
      key: await jose.JWK.asKey({ ...jwk }),
      header: { alg, ...(kid === undefined ? {} : { kid }) },
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
