import { decodeBase64, encodeBase64 } from "../../encoding/base64.ts";
import { goField, isObject } from "../../encoding/json.ts";
import { DecoderError } from "../../errors.ts";
import { LIMITS } from "../../limits.ts";

/** The hash of RSA-OAEP and of its MGF1 (RFC 8017 §7.1); the label is empty. */
export type OaepHash = "sha1" | "sha256";

/** As ocicrypt writes them; it left sha1 out before it had a choice. */
const HASHES: ReadonlyMap<unknown, OaepHash> = new Map<unknown, OaepHash>([
  [undefined, "sha1"],
  ["", "sha1"],
  ["sha1", "sha1"],
  ["sha256", "sha256"],
]);

/** ocicrypt's only version, of the message and of a recipient. */
const VERSION = 0;

export interface Pkcs11Recipient {
  readonly hash: OaepHash;
  /** RSA-OAEP of the private options: as long as the key's modulus. */
  readonly blob: Uint8Array<ArrayBuffer>;
}

/** "RSA-3072 OAEP sha256", for messages. */
export function describeRecipient({ hash, blob }: Pkcs11Recipient): string {
  return `RSA-${blob.length * 8} OAEP ${hash}`;
}

/** A recipient that can't be for any key that is allowed; the others are tried. */
export interface UnusableRecipient {
  readonly reason: string;
}

/** Reads `{"version":0,"recipients":[{"version":0,"blob":"<base64>","hash":"sha256"}]}`. @throws DecoderError BAD_PACKET */
export function parseMessage(
  packet: Uint8Array<ArrayBuffer>,
): readonly (Pkcs11Recipient | UnusableRecipient)[] {
  let json: unknown;
  try {
    json = JSON.parse(Buffer.from(packet.buffer, packet.byteOffset, packet.length).toString("utf8"));
  } catch {
    throw badMessage("is no well-formed JSON");
  }
  if (!isObject(json)) throw badMessage("is no JSON object");
  requireVersion(json);
  const list = goField(json, "recipients");
  if (!Array.isArray(list) || list.length === 0) throw badMessage("has no list of recipients");
  if (list.length > LIMITS.pkcs11Recipients)
    throw badMessage(`has more than ${LIMITS.pkcs11Recipients} recipients`);
  return list.map(parseRecipient);
}

function parseRecipient(entry: unknown): Pkcs11Recipient | UnusableRecipient {
  if (!isObject(entry)) throw badMessage("has a recipient that is no object");
  requireVersion(entry);
  const hash = HASHES.get(goField(entry, "hash"));
  if (hash === undefined) return { reason: "it is wrapped with a hash that is not allowed" };
  const blob = goField(entry, "blob");
  const bytes = typeof blob === "string" ? decodeBase64(blob) : null;
  if (bytes === null) return { reason: "its blob is no base64" };
  const bits = bytes.length * 8;
  if (bits < LIMITS.rsaBitsMin || bits > LIMITS.rsaBitsMax)
    return { reason: "its blob is not as long as an allowed RSA key" };
  return { hash, blob: bytes };
}

function requireVersion(object: Readonly<Record<string, unknown>>): void {
  const version = goField(object, "version") ?? VERSION;
  if (version !== VERSION) throw badMessage(`has a version other than ${VERSION}`);
}

export function encodeMessage(recipients: readonly Pkcs11Recipient[]): Uint8Array<ArrayBuffer> {
  const json = {
    version: VERSION,
    recipients: recipients.map(({ hash, blob }) => ({ version: VERSION, blob: encodeBase64(blob), hash })),
  };
  return new TextEncoder().encode(JSON.stringify(json));
}

function badMessage(what: string): DecoderError {
  return new DecoderError("BAD_PACKET", `the PKCS#11 message ${what}`);
}
