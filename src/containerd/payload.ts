import { decodeBase64 } from "../encoding/base64.ts";
import { goField, isObject, type JsonObject, parseJsonObject } from "../encoding/json.ts";
import { DecoderError } from "../errors.ts";
import type { FileInput } from "../io/file-input.ts";
import type { Parameters } from "../keys/keyset.ts";
import type { Descriptor } from "../spec/descriptor.ts";
import { PAYLOAD_TYPE, parseAny } from "./any.ts";

/** What containerd hands over with a layer (imgcrypt `Payload`). */
export interface Payload {
  readonly descriptor: LayerDescriptor;
  /** Keys and passwords that the pulling client passed along. */
  readonly parameters: Parameters;
}

/** A descriptor as far as decrypting needs it; `size` and `digest` are undefined when it doesn't tell. */
export interface LayerDescriptor {
  readonly mediaType: Descriptor["mediaType"];
  readonly digest: string | undefined;
  readonly size: number | undefined;
  readonly annotations: Readonly<Record<string, string>>;
}

/** A descriptor of the layer on standard input. */
export interface Candidate {
  readonly descriptor: LayerDescriptor;
  /** Undefined when containerd passed the descriptor itself, so that there is no other. */
  readonly blob?: LayerBlob;
}

/** The file in a content store that holds the layer. */
export interface LayerBlob {
  readonly file: FileInput;
  /** Whether it is the open file that containerd feeds to standard input, rather than one that begins alike. */
  readonly isInput: boolean;
}

/** What is known of a layer before any key is looked at. */
export interface Handover {
  /** Groups of descriptors, each to be looked for only when those of the group before did not open. */
  readonly candidates: Iterable<readonly Candidate[]>;
  readonly parameters: Parameters;
}

/** @throws DecoderError BAD_PAYLOAD, BAD_DESCRIPTOR. No message quotes the payload: it may carry keys. */
export function parsePayload(bytes: Uint8Array<ArrayBuffer>): Payload {
  if (bytes.length === 0) throw bad("is empty");
  const any = parseAny(bytes);
  if (any.typeUrl !== PAYLOAD_TYPE) throw bad(`is not of type ${PAYLOAD_TYPE}`);
  const json = parseJsonObject(any.value);
  if (json === null) throw bad("is no JSON object");
  return {
    descriptor: parseDescriptor(goField(json, "Descriptor")),
    parameters: parseParameters(goField(json, "DecryptConfig")),
  };
}

/** @throws DecoderError BAD_DESCRIPTOR */
export function parseDescriptor(value: unknown): LayerDescriptor {
  if (!isObject(value)) throw new DecoderError("BAD_DESCRIPTOR", "the payload has no layer descriptor");
  const [mediaType, digest, size] = [
    goField(value, "mediaType"),
    goField(value, "digest"),
    goField(value, "size"),
  ];
  if (typeof mediaType !== "string")
    throw new DecoderError("BAD_DESCRIPTOR", "the layer descriptor has no media type");
  if (size !== undefined && size !== null && !(Number.isSafeInteger(size) && Number(size) >= 0)) {
    throw new DecoderError("BAD_DESCRIPTOR", "the layer descriptor's size is no whole number of bytes");
  }
  return {
    mediaType,
    digest: typeof digest === "string" && digest !== "" ? digest : undefined,
    // Go writes a size that was never set as 0.
    size: typeof size === "number" && size > 0 ? size : undefined,
    annotations: parseAnnotations(goField(value, "annotations")),
  };
}

function parseAnnotations(value: unknown): Readonly<Record<string, string>> {
  const annotations: Record<string, string> = Object.create(null);
  if (value === undefined || value === null) return annotations;
  if (!isObject(value))
    throw new DecoderError("BAD_DESCRIPTOR", "the layer descriptor's annotations are no JSON object");
  for (const [name, text] of Object.entries(value)) {
    if (typeof text !== "string") throw new DecoderError("BAD_DESCRIPTOR", "a layer annotation is no text");
    annotations[name] = text;
  }
  return annotations;
}

function parseParameters(config: unknown): Parameters {
  const parameters = new Map<string, readonly (Uint8Array<ArrayBuffer> | null)[]>();
  const lists = isObject(config) ? goField(config, "Parameters") : undefined;
  if (lists === undefined || lists === null) return parameters;
  if (!isObject(lists)) throw bad("has DecryptConfig.Parameters that are no JSON object");
  for (const name of Object.keys(lists)) parameters.set(name, parseList(name, lists));
  return parameters;
}

function parseList(name: string, lists: JsonObject): (Uint8Array<ArrayBuffer> | null)[] {
  const list = lists[name];
  if (list === null) return [];
  if (!Array.isArray(list)) throw bad("has a parameter that is no list");
  return list.map((entry: unknown) => {
    if (entry === null) return null;
    const bytes = typeof entry === "string" ? decodeBase64(entry) : null;
    if (bytes === null) throw bad("has a parameter that is no base64");
    return bytes;
  });
}

function bad(what: string): DecoderError {
  return new DecoderError("BAD_PAYLOAD", `the payload that containerd passed ${what}`, {
    hint: "is the stream processor's ID exactly io.containerd.ocicrypt.decoder.v1.tar or io.containerd.ocicrypt.decoder.v1.tar.gzip?",
  });
}
