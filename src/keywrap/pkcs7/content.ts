import { type BerElement, Fields, malformed } from "../../encoding/ber.ts";
import { readOid, TAG } from "../../encoding/der.ts";
import { DecoderError } from "../../errors.ts";
import { LIMITS } from "../../limits.ts";
import type { Secret } from "../../secret.ts";
import { CBC, readCbc } from "./content-cbc.ts";
import { GCM, readGcm } from "./content-gcm.ts";
import { dotted } from "./oid.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** What a packet's recipients share: the encrypted private options, not judged yet. */
export interface EncryptedContent {
  /** AlgorithmIdentifier. */
  readonly algorithm: BerElement;
  readonly ciphertext: Bytes;
  /** AuthEnvelopedData's `mac`; undefined in EnvelopedData, where it ends the ciphertext. */
  readonly mac?: Bytes;
  /** AuthEnvelopedData's authAttrs as they are authenticated (RFC 5083 §2.2). */
  readonly attributes?: Bytes;
}

/** Checked as far as that goes without the content key. */
export interface SealedContent {
  /** Of the content key, in bytes. */
  readonly keyLength: number;
  /** The private options, or null when the key is not the one or the packet was changed: the two can't be told apart. */
  readonly open: (contentKey: Bytes) => Secret | null;
}

/** What older CMS writers use, named to say why it is refused. */
const OUTDATED: ReadonlyMap<string, string> = new Map([
  ["2a864886f70d0307", "3DES-CBC"],
  ["2b0e030207", "DES-CBC"],
  ["2a864886f70d0302", "RC2-CBC"],
]);

/**
 * Checks the content before any key is used on it.
 * @throws DecoderError BAD_PACKET for an algorithm that is not allowed, or parameters out of bounds
 */
export function readContent(content: EncryptedContent): SealedContent {
  const fields = new Fields(content.algorithm, "AlgorithmIdentifier");
  const oid = readOid(fields.required(TAG.OID)) ?? "";
  const [gcm, cbc] = [GCM.get(oid), CBC.get(oid)];
  if (gcm === undefined && cbc === undefined) throw refused(oid);
  if (content.ciphertext.length > LIMITS.privateOptionsBytes)
    throw malformed("more content than any layer key has");
  if (gcm !== undefined) return readGcm(gcm, fields.any(), content);
  // RFC 5083 §2.1: authenticated content needs an algorithm that authenticates.
  if (cbc === undefined || content.mac !== undefined)
    throw malformed("AES-CBC where authenticated encryption belongs");
  return readCbc(cbc, fields.any(), content.ciphertext);
}

function refused(oid: string): DecoderError {
  const name = OUTDATED.get(oid);
  const what = name === undefined ? `in the algorithm ${dotted(oid)}` : `with ${name}, which is outdated`;
  return new DecoderError(
    "BAD_PACKET",
    `the PKCS#7 content is encrypted ${what}, and refused: AES-GCM and AES-CBC are opened`,
    {
      hint: "wrap the layer's key with AES-GCM: skopeo, ctr-enc and this tool's rewrap do",
    },
  );
}
