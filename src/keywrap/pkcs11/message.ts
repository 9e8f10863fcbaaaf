import { decodeBase64, encodeBase64 } from "../../encoding/base64.ts";
import type { Bytes } from "../../encoding/bytes.ts";
import { goField, isObject } from "../../encoding/json.ts";
import { DecoderError } from "../../errors.ts";
import type { OaepHash } from "../../keys/token/module-protocol.ts";
import * as LIMITS from "../../limits.ts";

/** Names as ocicrypt writes them. It omitted sha1 before it had a choice. */
const HASHES: ReadonlyMap<unknown, OaepHash> = new Map<unknown, OaepHash>([
  [undefined, "sha1"],
  ["", "sha1"],
  ["sha1", "sha1"],
  ["sha256", "sha256"],
]);

/** The only version of a message and of a recipient. */
const VERSION = 0;

export interface Pkcs11Recipient {
  readonly hash: OaepHash;
  /** RSA-OAEP of the private options, as long as the key's modulus. */
  readonly blob: Bytes;
}

/** Names a recipient in messages: "RSA-3072 OAEP sha256". */
export function describeRecipient({ hash, blob }: Pkcs11Recipient): string {
  return `RSA-${blob.length * 8} OAEP ${hash}`;
}

/** A recipient that no allowed key can open. It does not stop the others. */
interface UnusableRecipient {
  readonly reason: string;
}

/** Reads `{"version":0,"recipients":[{"version":0,"blob":"<base64>","hash":"sha256"}]}`. @throws DecoderError BAD_PACKET */
export function parseMessage(packet: Bytes): readonly (Pkcs11Recipient | UnusableRecipient)[] {
  let json: unknown;
  try {
    json = JSON.parse(Buffer.from(packet.buffer, packet.byteOffset, packet.length).toString("utf8"));
  } catch {
    throw badMessage("is not well-formed JSON");
  }
  if (!isObject(json)) throw badMessage("is not a JSON object");
  requireVersion(json);
  const list = goField(json, "recipients");
  if (!Array.isArray(list) || list.length === 0) throw badMessage("has no recipients");
  if (list.length > LIMITS.pkcs11Recipients)
    throw badMessage(`has more than ${LIMITS.pkcs11Recipients} recipients`);
  return list.map(parseRecipient);
}

function parseRecipient(entry: unknown): Pkcs11Recipient | UnusableRecipient {
  if (!isObject(entry)) throw badMessage("has a recipient that is not an object");
  requireVersion(entry);
  const hash = HASHES.get(goField(entry, "hash"));
  if (hash === undefined) return { reason: "its hash is not allowed" };
  const blob = goField(entry, "blob");
  const bytes = typeof blob === "string" ? decodeBase64(blob) : null;
  if (bytes === null) return { reason: "its blob is not valid base64" };
  const bits = bytes.length * 8;
  if (bits < LIMITS.rsaBitsMin || bits > LIMITS.rsaBitsMax)
    return { reason: "its blob is not as long as an allowed RSA key" };
  return { hash, blob: bytes };
}

function requireVersion(object: Readonly<Record<string, unknown>>): void {
  const version = goField(object, "version") ?? VERSION;
  if (version !== VERSION) throw badMessage(`has a version other than ${VERSION}`);
}

export function encodeMessage(recipients: readonly Pkcs11Recipient[]): Bytes {
  const json = {
    version: VERSION,
    recipients: recipients.map(({ hash, blob }) => ({ version: VERSION, blob: encodeBase64(blob), hash })),
  };
  return new TextEncoder().encode(JSON.stringify(json));
}

function badMessage(what: string): DecoderError {
  return new DecoderError("BAD_PACKET", `the PKCS#11 message ${what}`);
}
