import { Fields, malformed } from "../../encoding/ber.ts";
import type { Bytes } from "../../encoding/bytes.ts";
import { readOid, TAG } from "../../encoding/der.ts";
import { DecoderError } from "../../errors.ts";
import * as LIMITS from "../../limits.ts";
import type { Secret } from "../../secret.ts";
import { CBC, readCbc } from "./content-cbc.ts";
import { GCM, readGcm } from "./content-gcm.ts";
import type { EncryptedContent } from "./envelope.ts";
import { dotted } from "./name.ts";

/** Encrypted content, checked as far as possible without the content key. */
interface SealedContent {
  /** Length of the content key in bytes. */
  readonly keyLength: number;
  /** Returns the private options. Null when the key is wrong or the packet was changed, which look alike. */
  readonly open: (contentKey: Bytes) => Secret | null;
}

/** Algorithms of older CMS writers, named in the refusal. */
const OUTDATED: ReadonlyMap<string, string> = new Map([
  ["2a864886f70d0307", "3DES-CBC"],
  ["2b0e030207", "DES-CBC"],
  ["2a864886f70d0302", "RC2-CBC"],
]);

/**
 * Checks the content before any key is used.
 * @throws DecoderError BAD_PACKET for a refused algorithm, or parameters out of bounds
 */
export function readContent(content: EncryptedContent): SealedContent {
  const fields = new Fields(content.algorithm, "AlgorithmIdentifier");
  const oid = readOid(fields.required(TAG.OID)) ?? "";
  const [gcm, cbc] = [GCM.get(oid), CBC.get(oid)];
  if (gcm === undefined && cbc === undefined) throw refused(oid);
  if (content.ciphertext.length > LIMITS.privateOptionsBytes)
    throw malformed("its content is larger than any layer key");
  if (gcm !== undefined)
    return { keyLength: gcm.keyLength, open: readGcm(gcm.cipher, fields.any(), content) };
  // RFC 5083 §2.1: authenticated content needs an algorithm that authenticates.
  if (cbc === undefined || content.mac !== undefined)
    throw malformed("it uses AES-CBC in place of authenticated encryption");
  return { keyLength: cbc.keyLength, open: readCbc(cbc.cipher, fields.any(), content.ciphertext) };
}

function refused(oid: string): DecoderError {
  const name = OUTDATED.get(oid);
  const what = name === undefined ? `in the algorithm ${dotted(oid)}` : `with ${name}, which is outdated`;
  return new DecoderError(
    "BAD_PACKET",
    `the PKCS#7 content is encrypted ${what}; only AES-GCM and AES-CBC are allowed`,
    { hint: "wrap the layer's key with AES-GCM, as skopeo, ctr-enc and ctd-decoder rewrap do" },
  );
}
