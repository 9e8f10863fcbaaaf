import { type BerElement, readBer, readChildren } from "../../encoding/ber.ts";
import type { Bytes } from "../../encoding/bytes.ts";
import { TAG, writeElement } from "../../encoding/der.ts";
import { usualKeyId } from "../../keys/certificate.ts";
import { readCertificateFile } from "../../keys/public-key.ts";
import { LENIENT } from "../../keys/recipient-certificate.ts";
import * as LIMITS from "../../limits.ts";
import type { RecipientInfo } from "../scheme.ts";
import { RECIPIENTS_TAG, readEnvelope, withoutArmour } from "./envelope.ts";
import { certificateId, keyId, type Recipient, readRecipient } from "./recipient.ts";

/** Lists the recipients' algorithm, and their issuer and serial number or key ID; see {@link DescribeScheme}. */
export function describe(packet: Bytes): readonly RecipientInfo[] {
  return readEnvelope(packet).recipients.map(infoOf);
}

function infoOf({ algorithm, id }: Recipient): RecipientInfo {
  return { algorithm, ...(id !== undefined && { id }) };
}

/** A certificate's issuer and serial number, and its key identifier. */
export async function idsOf(file: string): Promise<readonly string[]> {
  const fields = await readCertificateFile({ scheme: "pkcs7", file }, LENIENT);
  const { issuer, serial, rsa } = fields;
  const id = fields.keyId ?? (rsa && usualKeyId(rsa));
  return [certificateId(issuer, serial), ...(id === null ? [] : [keyId(id)])];
}

/** RFC 5652 §6.1: nothing authenticates the set of recipients, so that it can lose some. */
export function without(packet: Bytes, isRemoved: (recipient: RecipientInfo) => boolean): Bytes | null {
  const { recipients } = readEnvelope(packet);
  const removed = recipients.filter((recipient) => isRemoved(infoOf(recipient))).length;
  if (removed === 0) return packet;
  if (removed === recipients.length) return null;
  const [type, explicit] = readChildren(readBer(withoutArmour(packet)));
  const [content] = explicit === undefined ? [] : readChildren(explicit);
  if (type === undefined || content === undefined) throw new Error("bug: the envelope was read before");
  const fields = readChildren(content).map((field) =>
    field.tag === RECIPIENTS_TAG ? withoutRecipients(field, isRemoved) : field.whole,
  );
  const enveloped = writeElement(TAG.SEQUENCE, ...fields);
  return writeElement(TAG.SEQUENCE, type.whole, writeElement(TAG.CONTEXT_0, enveloped));
}

function withoutRecipients(set: BerElement, isRemoved: (recipient: RecipientInfo) => boolean): Bytes {
  const recipients = readChildren(set, LIMITS.cmsRecipients);
  const kept = recipients.filter((recipient) => !isRemoved(infoOf(readRecipient(recipient))));
  return writeElement(RECIPIENTS_TAG, ...kept.map(({ whole }) => whole));
}
