import { type BerElement, Fields, malformed, readBer, readChildren, readOctets } from "../../encoding/ber.ts";
import type { Bytes } from "../../encoding/bytes.ts";
import { readOid, readSmallInteger, TAG } from "../../encoding/der.ts";
import { parsePem } from "../../encoding/pem.ts";
import * as LIMITS from "../../limits.ts";
import { type Recipient, readRecipient } from "./recipient.ts";

/** A packet's structure. Nothing in it has been judged yet. */
interface Envelope {
  readonly recipients: readonly Recipient[];
  readonly content: EncryptedContent;
}

/** The encrypted private options, which all recipients share (RFC 5652 §6.1, RFC 5083 §2.1). */
export interface EncryptedContent {
  /** AlgorithmIdentifier. */
  readonly algorithm: BerElement;
  readonly ciphertext: Bytes;
  /** AuthEnvelopedData's `mac`. Undefined in EnvelopedData, whose ciphertext ends with the tag. */
  readonly mac?: Bytes;
  /** AuthEnvelopedData's authAttrs, as they are authenticated (RFC 5083 §2.2). */
  readonly attributes?: Bytes;
}

/** RFC 5652 §4, §6.1 and RFC 5083 §2. */
const DATA = "2a864886f70d010701";
const ENVELOPED_DATA = "2a864886f70d010703";
const AUTH_ENVELOPED_DATA = "2a864886f70d0109100117";

/** RFC 5652 §6.1: there is no version 1. RFC 5083 §2.1 defines version 0 only. */
const ENVELOPED_VERSIONS = [0, 2, 3, 4];

/** Tag of the SET of recipients. */
export const RECIPIENTS_TAG = 0x31;
const CONTEXT_0_PRIMITIVE = 0x80;
const CONTEXT_2 = 0xa2;

const ARMOUR = Buffer.from("-----BEGIN ");
const ARMOUR_LABELS = ["CMS", "PKCS7"];

/**
 * Reads a packet: ContentInfo with EnvelopedData or AuthEnvelopedData, in BER, with or without PEM armour.
 * @throws DecoderError BAD_PACKET
 */
export function readEnvelope(packet: Bytes): Envelope {
  const bytes = withoutArmour(packet);
  const outer = readBer(bytes);
  if (outer.tag !== TAG.SEQUENCE || outer.whole.length !== bytes.length)
    throw malformed("it is not a single ContentInfo");
  const fields = new Fields(outer, "ContentInfo");
  const type = readOid(fields.required(TAG.OID));
  const explicit = new Fields(fields.required(TAG.CONTEXT_0), "ContentInfo's content");
  const content = explicit.required(TAG.SEQUENCE);
  explicit.end();
  fields.end();
  if (type === ENVELOPED_DATA) return readEnvelopedData(content);
  if (type === AUTH_ENVELOPED_DATA) return readAuthEnvelopedData(content);
  throw malformed("it is neither EnvelopedData nor AuthEnvelopedData");
}

export function withoutArmour(packet: Bytes): Bytes {
  if (Buffer.compare(packet.subarray(0, ARMOUR.length), ARMOUR) !== 0) return packet;
  const [block] = parsePem(Buffer.from(packet).toString("latin1"), 1);
  if (!block?.body || !ARMOUR_LABELS.includes(block.label)) throw malformed("its armour does not hold CMS");
  return block.body;
}

function readEnvelopedData(element: BerElement): Envelope {
  const fields = new Fields(element, "EnvelopedData");
  const version = readSmallInteger(fields.required(TAG.INTEGER));
  if (version === null || !ENVELOPED_VERSIONS.includes(version))
    throw malformed("its EnvelopedData has an unknown version");
  fields.optional(TAG.CONTEXT_0); // originatorInfo
  const recipients = readRecipients(fields.required(RECIPIENTS_TAG));
  const content = readEncryptedContentInfo(fields.required(TAG.SEQUENCE));
  fields.optional(TAG.CONTEXT_1); // unprotectedAttrs
  fields.end();
  return { recipients, content };
}

function readAuthEnvelopedData(element: BerElement): Envelope {
  const fields = new Fields(element, "AuthEnvelopedData");
  const version = readSmallInteger(fields.required(TAG.INTEGER));
  if (version !== 0) throw malformed("its AuthEnvelopedData has an unknown version");
  fields.optional(TAG.CONTEXT_0); // originatorInfo
  const recipients = readRecipients(fields.required(RECIPIENTS_TAG));
  const content = readEncryptedContentInfo(fields.required(TAG.SEQUENCE));
  const attributes = fields.optional(TAG.CONTEXT_1);
  const mac = fields.required(TAG.OCTET_STRING).content;
  fields.optional(CONTEXT_2); // unauthAttrs
  fields.end();
  return { recipients, content: { ...content, mac, ...(attributes && { attributes: asSet(attributes) }) } };
}

/** RFC 5083 §2.2: attributes are authenticated with the tag of a SET OF in place of [1]. */
function asSet(attributes: BerElement): Bytes {
  const set = attributes.whole.slice();
  set[0] = RECIPIENTS_TAG;
  return set;
}

function readRecipients(set: BerElement): Recipient[] {
  const recipients = readChildren(set, LIMITS.cmsRecipients).map(readRecipient);
  if (recipients.length === 0) throw malformed("it has no recipients");
  return recipients;
}

function readEncryptedContentInfo(element: BerElement): EncryptedContent {
  const fields = new Fields(element, "EncryptedContentInfo");
  const type = readOid(fields.required(TAG.OID));
  if (type !== DATA) throw malformed("the type of its content is not data");
  const algorithm = fields.required(TAG.SEQUENCE);
  const ciphertext = readOctets(fields.required(TAG.CONTEXT_0, CONTEXT_0_PRIMITIVE));
  fields.end();
  return { algorithm, ciphertext };
}
