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
  /** `optional`: fields that the signer added. */
  readonly optional: JsonObject;
}

export const COSIGN_TYPE = "cosign container image signature";
export const ATOMIC_TYPE = "atomic container signature";

/**
 * Reads a payload as strictly as containers/image does. Only for bytes whose signature holds: those of a stranger need
 * not be parsed at all.
 * @throws DecoderError UNTRUSTED
 */
export function readPayload(bytes: Uint8Array, type: typeof COSIGN_TYPE | typeof ATOMIC_TYPE): Payload {
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
  return { digest, reference, optional: isObject(optional) ? optional : {} };
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
