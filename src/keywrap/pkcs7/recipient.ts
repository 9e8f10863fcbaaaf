import { type BerElement, Fields, malformed } from "../../encoding/ber.ts";
import { readSmallInteger, TAG } from "../../encoding/der.ts";
import * as LIMITS from "../../limits.ts";
import { type KeyTransport, readKeyTransport } from "./key-transport.ts";
import { nameText } from "./name.ts";

/** One RecipientInfo (RFC 5652 §6.2). */
export interface Recipient {
  readonly algorithm: string;
  /** For messages: "issuer CN=node-1 serial 2a". */
  readonly id?: string;
  /** Undefined for a kind of recipient that this program can't open. */
  readonly keyTransport?: KeyTransportRecipient;
}

export interface KeyTransportRecipient {
  /** Equal to the identity of the recipient's certificate or key; see the functions below. */
  readonly identity: string;
  readonly method: KeyTransport;
  readonly encryptedKey: Uint8Array<ArrayBuffer>;
}

/** The kinds of RecipientInfo besides KeyTransRecipientInfo, by their tag. */
const OTHER_KINDS: ReadonlyMap<number, string> = new Map([
  [0xa1, "key agreement"],
  [0xa2, "a shared key"],
  [0xa3, "a password"],
  [0xa4, "another kind of recipient"],
]);

const SUBJECT_KEY_IDENTIFIER = 0x80;
/** RFC 5652 §6.2.1: the version follows from the form of the recipient's name. */
const VERSION_ISSUER_SERIAL = 0;
const VERSION_KEY_ID = 2;

/** Identity of a recipient or certificate by issuer and serial number, whole DER elements. */
export function issuerIdentity(issuer: Uint8Array, serial: Uint8Array): string {
  return `${issuer.toHex()}:${serial.toHex()}`;
}

/** Identity of a recipient, certificate or key by subjectKeyIdentifier. */
export function keyIdentity(keyId: Uint8Array): string {
  return `key id ${keyId.toHex()}`;
}

/** Names a certificate in messages: "issuer CN=node-1 serial 2a". @throws DecoderError BAD_PACKET for a malformed name */
export function certificateId(issuer: BerElement, serial: BerElement): string {
  return `issuer ${nameText(issuer)} serial ${serial.content.subarray(0, LIMITS.recipientIdOctets).toHex()}`;
}

/** Names a key in messages by its subjectKeyIdentifier: "key id 4f…". */
export function keyId(id: Uint8Array): string {
  return `key id ${id.subarray(0, LIMITS.recipientIdOctets).toHex()}`;
}

/** A recipient in messages: "rsaEncryption issuer CN=node-1 serial 2a". */
export function recipientText({ algorithm, id }: Recipient): string {
  return id === undefined ? algorithm : `${algorithm} ${id}`;
}

/** @throws DecoderError BAD_PACKET */
export function readRecipient(element: BerElement): Recipient {
  const other = OTHER_KINDS.get(element.tag);
  if (other !== undefined) return { algorithm: other };
  if (element.tag !== TAG.SEQUENCE) throw malformed("it has an unknown kind of recipient");
  const fields = new Fields(element, "KeyTransRecipientInfo");
  const version = readSmallInteger(fields.required(TAG.INTEGER));
  const rid = fields.required(TAG.SEQUENCE, SUBJECT_KEY_IDENTIFIER);
  const method = readKeyTransport(fields.required(TAG.SEQUENCE));
  const encryptedKey = fields.required(TAG.OCTET_STRING).content;
  fields.end();

  const byKeyId = rid.tag === SUBJECT_KEY_IDENTIFIER;
  if (version !== (byKeyId ? VERSION_KEY_ID : VERSION_ISSUER_SERIAL))
    throw malformed("it has a recipient with an unknown version");
  const { id, identity } = byKeyId ? readKeyId(rid) : readIssuerAndSerial(rid);
  if ("unsupported" in method) return { algorithm: method.unsupported, id };
  return { algorithm: method.name, id, keyTransport: { identity, method, encryptedKey } };
}

interface Identified {
  readonly id: string;
  readonly identity: string;
}

function readIssuerAndSerial(rid: BerElement): Identified {
  const fields = new Fields(rid, "IssuerAndSerialNumber");
  const issuer = fields.required(TAG.SEQUENCE);
  const serial = fields.required(TAG.INTEGER);
  fields.end();
  return { id: certificateId(issuer, serial), identity: issuerIdentity(issuer.whole, serial.whole) };
}

function readKeyId(rid: BerElement): Identified {
  return { id: keyId(rid.content), identity: keyIdentity(rid.content) };
}
