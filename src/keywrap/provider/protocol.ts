import { decodeBase64, encodeBase64 } from "../../encoding/base64.ts";
import type { Bytes } from "../../encoding/bytes.ts";
import { goField, parseJsonObject } from "../../encoding/json.ts";
import type { Parameters } from "../../keys/keyset.ts";
import type { SchemeSettings } from "../scheme.ts";
import { callCommand } from "./command.ts";
import { type Provider, providerError } from "./configuration.ts";

/** An operation of the key provider protocol (ocicrypt, docs/keyprovider.md). */
interface Operation {
  readonly name: "keywrap" | "keyunwrap";
  /** Method of the gRPC service keyprovider.KeyProviderService. */
  readonly method: "WrapKey" | "UnWrapKey";
  /** Place of the answer's bytes: the object, and the field in it. */
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

/** Go's writer has both members in every request, the unused one with nulls. Some providers insist on it. */
const NOT_WRAPPING = { ec: null, optsdata: null };
const NOT_UNWRAPPING = { dc: null, annotation: null };

/** ocicrypt's own lists of keys, certificates and passwords. A provider with such a name would receive them. */
const RESERVED = new Set([
  "gpg-privatekeys",
  "gpg-privatekeys-passwords",
  "gpg-pubkeyringfile",
  "gpg-recipients",
  "pkcs11-config",
  "pkcs11-pubkeys",
  "pkcs11-yamls",
  "privkeys",
  "privkeys-passwords",
  "pubkeys",
  "x509s",
]);

export function isReserved(providerName: string): boolean {
  return RESERVED.has(providerName);
}

/** A provider's own parameters, without the available keys and passwords. */
export function ownParameters(providerName: string, all: Parameters): Parameters {
  const own = isReserved(providerName) ? undefined : all.get(providerName);
  return own === undefined ? new Map() : new Map([[providerName, own]]);
}

/** @param parameters the available keys and passwords, as sent to the provider */
export function unwrapRequest(packet: Uint8Array, parameters: Parameters): Buffer {
  const keyunwrapparams = { dc: { Parameters: encode(parameters) }, annotation: encodeBase64(packet) };
  return message({ op: UNWRAP.name, keywrapparams: NOT_WRAPPING, keyunwrapparams });
}

/** @param options the layer's private options, for the provider to wrap */
export function wrapRequest(options: Uint8Array, parameters: Parameters): Buffer {
  const ec = { Parameters: encode(parameters), DecryptConfig: { Parameters: {} } };
  const keywrapparams = { ec, optsdata: encodeBase64(options) };
  return message({ op: WRAP.name, keywrapparams, keyunwrapparams: NOT_UNWRAPPING });
}

/**
 * Sends a request to a provider, and zeroes it.
 * @returns the bytes of the answer
 * @throws DecoderError PROVIDER when the provider fails, or answers late, too much or with something else
 */
export async function callProvider(
  provider: Provider,
  operation: Operation,
  request: Uint8Array,
  settings: SchemeSettings,
): Promise<Bytes> {
  let answer: Bytes | undefined;
  try {
    if (provider.kind === "command") answer = await callCommand(provider, request, settings);
    else {
      const { callGrpc } = await import("./grpc.ts");
      answer = await callGrpc(provider, operation.method, request, settings);
    }
    return readAnswer(provider.name, operation, answer);
  } finally {
    answer?.fill(0);
    request.fill(0);
  }
}

/**
 * Reads the bytes of an answer: base64, or a list of numbers, which is how Rust's serde writes bytes.
 * @throws DecoderError PROVIDER
 */
export function readAnswer(provider: string, operation: Operation, answer: Uint8Array): Bytes {
  if (answer.length === 0) throw providerError(provider, "gave no answer");
  const json = parseJsonObject(answer);
  if (json === null) throw providerError(provider, "gave an answer that is not a JSON object");
  const value = goField(goField(json, operation.results), operation.field);
  const place = `${operation.results}.${operation.field}`;
  if (value === undefined || value === null || value === "")
    throw providerError(provider, `gave an answer without ${place}`);
  const bytes = typeof value === "string" ? decodeBase64(value) : byteList(value);
  if (bytes === null) throw providerError(provider, `gave an answer whose ${place} is not valid base64`);
  if (bytes.length === 0) throw providerError(provider, `gave an answer whose ${place} is empty`);
  return bytes;
}

function byteList(value: unknown): Bytes | null {
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
