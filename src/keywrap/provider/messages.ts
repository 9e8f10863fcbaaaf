import { decodeBase64, encodeBase64 } from "../../encoding/base64.ts";
import { goField, parseJsonObject } from "../../encoding/json.ts";
import type { Parameters } from "../../keys/keyset.ts";
import { providerError } from "./failure.ts";

/** The key provider protocol (ocicrypt, docs/keyprovider.md): what is asked, and where the answer has it. */
export interface Operation {
  readonly name: "keywrap" | "keyunwrap";
  /** Of the gRPC service keyprovider.KeyProviderService. */
  readonly method: "WrapKey" | "UnWrapKey";
  readonly results: string;
  readonly field: string;
}

export const WRAP: Operation = {
  name: "keywrap",
  method: "WrapKey",
  results: "keywrapresults",
  field: "annotation",
};

export const UNWRAP: Operation = {
  name: "keyunwrap",
  method: "UnWrapKey",
  results: "keyunwrapresults",
  field: "optsdata",
};

/** Go's writer has both members in every request, the unused one with nulls, and there are providers that insist on it. */
const NOT_WRAPPING = { ec: null, optsdata: null };
const NOT_UNWRAPPING = { dc: null, annotation: null };

/** @param parameters what the provider is told of the keys and passwords at hand */
export function unwrapRequest(packet: Uint8Array, parameters: Parameters): Buffer {
  const keyunwrapparams = { dc: { Parameters: encode(parameters) }, annotation: encodeBase64(packet) };
  return message({ op: UNWRAP.name, keywrapparams: NOT_WRAPPING, keyunwrapparams });
}

/** @param options the layer's private options, which the provider is to wrap */
export function wrapRequest(options: Uint8Array, parameters: Parameters): Buffer {
  const ec = { Parameters: encode(parameters), DecryptConfig: { Parameters: {} } };
  const keywrapparams = { ec, optsdata: encodeBase64(options) };
  return message({ op: WRAP.name, keywrapparams, keyunwrapparams: NOT_UNWRAPPING });
}

/**
 * The bytes that a provider answered with: a base64 text, or a list of numbers, which is how Rust's serde writes bytes.
 * @throws DecoderError PROVIDER
 */
export function readAnswer(
  provider: string,
  operation: Operation,
  answer: Uint8Array,
): Uint8Array<ArrayBuffer> {
  if (answer.length === 0) throw providerError(provider, "gave no answer");
  const json = parseJsonObject(answer);
  if (json === null) throw providerError(provider, "gave an answer that is no JSON object");
  const value = goField(goField(json, operation.results), operation.field);
  const place = `${operation.results}.${operation.field}`;
  if (value === undefined || value === null || value === "") {
    throw providerError(provider, `gave an answer without ${place}`);
  }
  const bytes = typeof value === "string" ? decodeBase64(value) : byteList(value);
  if (bytes === null) throw providerError(provider, `gave an answer whose ${place} is no base64`);
  if (bytes.length === 0) throw providerError(provider, `gave an answer whose ${place} is empty`);
  return bytes;
}

function byteList(value: unknown): Uint8Array<ArrayBuffer> | null {
  const isByte = (item: unknown) => Number.isInteger(item) && Number(item) >= 0 && Number(item) <= 255;
  return Array.isArray(value) && value.every(isByte) ? Uint8Array.from(value) : null;
}

function encode(parameters: Parameters): Record<string, (string | null)[]> {
  const base64 = (value: Uint8Array | null) => value && encodeBase64(value);
  return Object.fromEntries([...parameters].map(([name, values]) => [name, values.map(base64)]));
}

function message(value: object): Buffer {
  return Buffer.from(JSON.stringify(value));
}
