import { type BerElement, Fields, readChildren } from "../../encoding/ber.ts";
import { readOid, TAG } from "../../encoding/der.ts";
import * as LIMITS from "../../limits.ts";

/** X.520 attribute types by their short names (RFC 4514 §3, RFC 2985 §5.2.1 for emailAddress). */
const ATTRIBUTE_NAMES: ReadonlyMap<string, string> = new Map([
  ["550403", "CN"],
  ["550405", "serialNumber"],
  ["550406", "C"],
  ["550407", "L"],
  ["550408", "ST"],
  ["550409", "STREET"],
  ["55040a", "O"],
  ["55040b", "OU"],
  ["0992268993f22c640101", "UID"],
  ["0992268993f22c640119", "DC"],
  ["2a864886f70d010901", "emailAddress"],
]);

/** Tag of an ASN.1 string type (X.680 §8.4) → its decoder. BMPString is big-endian UTF-16. */
const DECODERS: ReadonlyMap<number, (bytes: Buffer) => string> = new Map([
  [0x0c, (bytes) => bytes.toString("utf8")],
  [0x12, (bytes) => bytes.toString("latin1")],
  [0x13, (bytes) => bytes.toString("latin1")],
  [0x14, (bytes) => bytes.toString("latin1")],
  [0x16, (bytes) => bytes.toString("latin1")],
  [0x1e, (bytes) => (bytes.length % 2 === 0 ? bytes.swap16().toString("utf16le") : "")],
]);

/** Characters that RFC 4514 §2.4 escapes, and those that could change what a terminal shows. */
const ESCAPED = /[,+"\\<>;=]|[\p{C}\p{Zl}\p{Zp}]/gu;

/**
 * Writes a distinguished name as text, the most specific part first (RFC 4514): "CN=node-1,O=Example". The image's author chose
 * the name, so control characters are escaped and long values cut.
 * @throws DecoderError BAD_PACKET
 */
export function nameText(name: BerElement): string {
  const rdns = readChildren(name, LIMITS.nameRdns).map((rdn) =>
    readChildren(rdn).map(attributeText).join("+"),
  );
  return rdns.reverse().join(",");
}

function attributeText(attribute: BerElement): string {
  const fields = new Fields(attribute, "AttributeTypeAndValue");
  const oid = readOid(fields.required(TAG.OID)) ?? "";
  const value = fields.any();
  fields.end();
  return `${ATTRIBUTE_NAMES.get(oid) ?? dotted(oid)}=${value === undefined ? "" : valueText(value)}`;
}

function valueText(value: BerElement): string {
  const bytes = Buffer.from(value.content.subarray(0, LIMITS.nameValueBytes));
  const decode = DECODERS.get(value.tag);
  return decode === undefined ? `#${bytes.toString("hex")}` : decode(bytes).replace(ESCAPED, escapeCharacter);
}

function escapeCharacter(character: string): string {
  if (/^[!-~]$/.test(character)) return `\\${character}`;
  return [...Buffer.from(character)].map((byte) => `\\${byte.toString(16).padStart(2, "0")}`).join("");
}

/**
 * Writes an OID in the form that people know. @param hex its content octets (X.690 §8.19)
 * @returns "1.2.840.113549.3.7", or "an unreadable identifier"
 */
export function dotted(hex: string): string {
  const octets = Buffer.from(hex, "hex");
  const numbers: bigint[] = [];
  let number = 0n;
  for (const octet of octets.subarray(0, LIMITS.oidOctets)) {
    number = number * 128n + BigInt(octet & 0x7f);
    if ((octet & 0x80) !== 0) continue;
    numbers.push(number);
    number = 0n;
  }
  const [first, ...rest] = numbers;
  if (first === undefined || number !== 0n || octets.length > LIMITS.oidOctets)
    return "an unreadable identifier";
  const root = first < 40n ? 0n : first < 80n ? 1n : 2n;
  return [root, first - root * 40n, ...rest].join(".");
}
