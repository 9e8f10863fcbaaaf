import { decodeBase64Url } from "../../encoding/base64.ts";
import { type Bytes, decodeUtf8 } from "../../encoding/bytes.ts";
import { isObject, type JsonObject, parseJsonObject } from "../../encoding/json.ts";
import { DecoderError } from "../../errors.ts";
import * as LIMITS from "../../limits.ts";

type Header = JsonObject;

export interface JweRecipient {
  /** The union of protected, unprotected and per-recipient header (RFC 7516 §4). */
  readonly header: Header;
  readonly encryptedKey: Bytes;
}

/** A JWE (RFC 7516) of any serialization. */
export interface JweMessage {
  readonly recipients: readonly JweRecipient[];
  readonly iv: Bytes;
  readonly ciphertext: Bytes;
  readonly tag: Bytes;
  /** ASCII of the protected header, and of the aad if present (RFC 7516 §5.1 step 14). */
  readonly additionalData: Bytes;
}

export function badJwe(what: string): DecoderError {
  return new DecoderError("BAD_PACKET", `the JWE ${what}`);
}

/** Parses a packet. Messages never quote it: the JSON may come from an attacker. @throws DecoderError BAD_PACKET */
export function parseJwe(packet: Bytes): JweMessage {
  const text = decodeUtf8(packet).trim();
  return text.startsWith("{") ? parseJson(packet) : parseCompact(text);
}

/** RFC 7516 §7.1. */
function parseCompact(text: string): JweMessage {
  const parts = text.split(".");
  if (parts.length !== 5) throw badJwe("is neither JSON nor compact serialization");
  const [protectedText = "", key, iv, ciphertext, tag] = parts;
  return {
    recipients: [{ header: parseHeader(protectedText), encryptedKey: bytesOf(key, "encrypted_key") }],
    iv: bytesOf(iv, "iv"),
    ciphertext: bytesOf(ciphertext, "ciphertext"),
    tag: bytesOf(tag, "tag"),
    additionalData: ascii(protectedText),
  };
}

/** RFC 7516 §7.2, general and flattened. */
function parseJson(packet: Bytes): JweMessage {
  const json = parseJsonObject(packet);
  if (json === null) throw badJwe("is not a well-formed JSON object");
  const protectedText = json["protected"] ?? "";
  if (typeof protectedText !== "string") throw badJwe("has a protected header that is not a text");
  const shared = mergeHeaders(
    protectedText === "" ? {} : parseHeader(protectedText),
    headerOf(json["unprotected"]),
  );
  const aad = json["aad"];
  if (aad !== undefined) bytesOf(aad, "aad");
  return {
    recipients: recipientsOf(json, shared),
    iv: bytesOf(json["iv"], "iv"),
    ciphertext: bytesOf(json["ciphertext"], "ciphertext"),
    tag: bytesOf(json["tag"], "tag"),
    additionalData: ascii(aad === undefined ? protectedText : `${protectedText}.${aad}`),
  };
}

/**
 * Ignores an `encrypted_key` beside `recipients`. RFC 7516 §7.2.2 forbids it, but go-jose writes a copy of the first
 * recipient's there.
 */
function recipientsOf(json: Header, shared: Header): JweRecipient[] {
  const list = json["recipients"];
  if (list === undefined) {
    return [
      {
        header: mergeHeaders(shared, headerOf(json["header"])),
        encryptedKey: bytesOf(json["encrypted_key"], "encrypted_key"),
      },
    ];
  }
  if (!Array.isArray(list) || list.length === 0)
    throw badJwe("has recipients that are not a list, or an empty one");
  const recipients: JweRecipient[] = [];
  for (const entry of list as readonly unknown[]) {
    if (!isObject(entry)) throw badJwe("has a recipient that is not an object");
    recipients.push({
      header: mergeHeaders(shared, headerOf(entry["header"])),
      encryptedKey: bytesOf(entry["encrypted_key"], "encrypted_key"),
    });
  }
  return recipients;
}

function parseHeader(base64url: string): Header {
  const header = parseJsonObject(bytesOf(base64url, "protected header"));
  if (header === null) throw badJwe("has a protected header that is not a JSON object");
  return bounded(header);
}

function headerOf(value: unknown): Header {
  if (value === undefined || value === null) return {};
  if (!isObject(value)) throw badJwe("has a header that is not an object");
  return bounded(value);
}

/** Bounds a header's size. The shared headers are merged with each recipient's, so their size counts once per recipient. */
function bounded(header: Header): Header {
  if (Object.keys(header).length > LIMITS.jweHeaderParameters)
    throw badJwe(`has a header with more than ${LIMITS.jweHeaderParameters} parameters`);
  return header;
}

/** RFC 7516 §7.2.1: the headers' names must be disjoint. Otherwise an unprotected parameter could pose as protected. */
function mergeHeaders(first: Header, second: Header): Header {
  for (const name of Object.keys(second)) {
    if (Object.hasOwn(first, name)) throw badJwe("has a header parameter twice");
  }
  return Object.assign(Object.create(null), first, second);
}

function bytesOf(value: unknown, name: string): Bytes {
  const bytes = typeof value === "string" ? decodeBase64Url(value) : null;
  if (bytes === null) throw badJwe(`has a ${name} that is missing or not base64url`);
  return bytes;
}

function ascii(text: string): Bytes {
  return new TextEncoder().encode(text);
}
