import { isObject, type JsonObject } from "../../encoding/json.ts";
import { parseStrictJson } from "../../encoding/strict-json.ts";
import * as LIMITS from "../../system-limits.ts";
import { untrusted } from "./message.ts";

/** A simple signing payload (containers/image docs/containers-signature.5.md), whose signature has been verified. */
export interface Payload {
  /** `critical.image.docker-manifest-digest` */
  readonly digest: string;
  /** `critical.identity.docker-reference` */
  readonly reference: string;
  /** `optional`: fields that the signer added; undefined where it is absent. */
  readonly optional: JsonObject | null | undefined;
}

export const COSIGN_TYPE = "cosign container image signature";
export const ATOMIC_TYPE = "atomic container signature";
export type PayloadType = typeof COSIGN_TYPE | typeof ATOMIC_TYPE;

/**
 * Reads a payload as strictly as containers/image does. Only for bytes whose signature holds: those of a stranger need
 * not be parsed at all.
 * @throws DecoderError UNTRUSTED
 */
export function readPayload(bytes: Uint8Array, type: PayloadType): Payload {
  if (bytes.length > LIMITS.signatureBytes) throw malformed("it is too long");
  let value: unknown;
  try {
    value = parseStrictJson(bytes);
  } catch (error) {
    throw malformed(error instanceof SyntaxError ? error.message : "it is not JSON");
  }
  const { critical, optional } = members(value, "the payload", ["critical", "optional"], ["critical"]);
  const parts = members(critical, "critical", ["type", "image", "identity"]);
  const { "docker-manifest-digest": digest } = members(parts["image"], "critical.image", [
    "docker-manifest-digest",
  ]);
  const { "docker-reference": reference } = members(parts["identity"], "critical.identity", [
    "docker-reference",
  ]);
  if (parts["type"] !== type) throw malformed(`its type is ${JSON.stringify(parts["type"])}`);
  if (typeof digest !== "string") throw malformed("its docker-manifest-digest is not text");
  if (typeof reference !== "string") throw malformed("its docker-reference is not text");
  if (optional !== undefined && optional !== null && !isObject(optional))
    throw malformed("its optional part is not an object");
  return { digest, reference, optional };
}

/**
 * Checks the optional part as containers/image does, and cosign does not: it must exist, must be an object in GnuPG's
 * signatures, and the two fields that containers/image reads must have their types.
 * @throws DecoderError UNTRUSTED
 */
export function checkOptional({ optional }: Payload, type: PayloadType): void {
  if (optional === undefined) throw malformed("the payload has no optional");
  if (optional === null && type === ATOMIC_TYPE) throw malformed("its optional part is not an object");
  if (typeof (optional?.["creator"] ?? "") !== "string") throw malformed("its creator is not text");
  if (!Number.isSafeInteger(optional?.["timestamp"] ?? 0))
    throw malformed("its timestamp is not a whole number");
}

/** An object with these members and no other. @param required all of them, unless named */
function members(
  value: unknown,
  where: string,
  names: readonly string[],
  required: readonly string[] = names,
): JsonObject {
  if (!isObject(value)) throw malformed(`${where} is not an object`);
  const missing = required.find((name) => !Object.hasOwn(value, name));
  if (missing !== undefined) throw malformed(`${where} has no ${missing}`);
  const other = Object.keys(value).find((name) => !names.includes(name));
  if (other !== undefined) throw malformed(`${where} has the unknown member ${JSON.stringify(other)}`);
  return value;
}

function malformed(problem: string): Error {
  return untrusted(`its payload is malformed: ${problem}`);
}
