import type { Bytes } from "../../encoding/bytes.ts";
import { DecoderError } from "../../errors.ts";

/** The attributes of a PKCS#11 URI (RFC 7512 §2.3, §2.4) that choose a module, a token and a key. Undefined matches anything. */
export interface Pkcs11Uri {
  readonly token: TokenSelector;
  /** CKA_LABEL and CKA_ID of the key. */
  readonly object: string | undefined;
  readonly id: Bytes | undefined;
  readonly modulePath: string | undefined;
  readonly moduleName: string | undefined;
  /** Secret: never part of a message. */
  readonly pinValue: string | undefined;
  readonly pinSource: string | undefined;
}

export interface TokenSelector {
  readonly label: string | undefined;
  readonly serial: string | undefined;
  readonly manufacturer: string | undefined;
  readonly model: string | undefined;
  readonly slotId: number | undefined;
}

const SCHEME = "pkcs11:";
const ATTRIBUTE_NAME = /^[A-Za-z0-9_-]+$/;
const SLOT_ID = /^\d{1,10}$/;
const SLOT_ID_MAX = 0xffffffff;
/** RFC 7512 §2.3 `type`: the values for key pairs. */
const KEY_TYPES: ReadonlySet<string> = new Set(["private", "public"]);

/**
 * Parses the URI of a key file. Unknown attributes are ignored, as the peers do.
 * @throws DecoderError BAD_KEY, which quotes no value of the URI: it may hold a PIN
 */
export function parsePkcs11Uri(text: string): Pkcs11Uri {
  if (!text.startsWith(SCHEME)) throw badUri("does not start with pkcs11:");
  const question = text.indexOf("?");
  const path = attributes(text.slice(SCHEME.length, question < 0 ? undefined : question), ";");
  const query = attributes(question < 0 ? "" : text.slice(question + 1), "&");

  const type = textOf(path, "type");
  if (type !== undefined && !KEY_TYPES.has(type)) throw badUri("has a type other than private and public");
  const pinValue = textOf(query, "pin-value");
  const pinSource = textOf(query, "pin-source");
  if (pinValue !== undefined && pinSource !== undefined)
    throw badUri("has both a pin-value and a pin-source");
  return {
    token: {
      label: textOf(path, "token"),
      serial: textOf(path, "serial"),
      manufacturer: textOf(path, "manufacturer"),
      model: textOf(path, "model"),
      slotId: slotIdOf(path),
    },
    object: textOf(path, "object"),
    id: path.get("id"),
    modulePath: textOf(query, "module-path"),
    moduleName: textOf(query, "module-name"),
    pinValue,
    pinSource,
  };
}

type Attributes = ReadonlyMap<string, Bytes>;

/** RFC 7512 §2.3: no attribute may appear twice. A value may contain "=". */
function attributes(text: string, separator: string): Attributes {
  const found = new Map<string, Bytes>();
  if (text === "") return found;
  for (const part of text.split(separator)) {
    const equals = part.indexOf("=");
    const name = part.slice(0, equals);
    if (equals < 0 || !ATTRIBUTE_NAME.test(name)) throw badUri("has an attribute that is not NAME=VALUE");
    if (found.has(name)) throw badUri(`has the attribute ${name} twice`);
    found.set(name, percentDecode(part.slice(equals + 1), name));
  }
  return found;
}

/** RFC 3986 §2.1. "+" stands for itself. Returns bytes rather than text, because `id` is binary. */
function percentDecode(value: string, name: string): Bytes {
  if (/%(?![0-9A-Fa-f]{2})/.test(value))
    throw badUri(`has a "%" in ${name} without two hexadecimal digits after it`);
  const bytes: number[] = [];
  for (const [part] of value.matchAll(/%..|[^%]+/gs)) {
    if (part.startsWith("%")) bytes.push(Number.parseInt(part.slice(1), 16));
    else bytes.push(...Buffer.from(part, "utf8"));
  }
  return Uint8Array.from(bytes);
}

function textOf(found: Attributes, name: string): string | undefined {
  const bytes = found.get(name);
  if (bytes === undefined) return undefined;
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw badUri(`has a ${name} that is not UTF-8`);
  }
}

function slotIdOf(path: Attributes): number | undefined {
  const text = textOf(path, "slot-id");
  if (text === undefined) return undefined;
  if (!SLOT_ID.test(text) || Number(text) > SLOT_ID_MAX)
    throw badUri("has a slot-id that is not a 32-bit number");
  return Number(text);
}

function badUri(what: string): DecoderError {
  return new DecoderError("BAD_KEY", `the PKCS#11 URI ${what}`);
}
