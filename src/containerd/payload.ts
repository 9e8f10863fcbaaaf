import { decodeBase64 } from "../encoding/base64.ts";
import { decodeUtf8 } from "../encoding/bytes.ts";
import { goField, isObject, type JsonObject, parseJsonObject } from "../encoding/json.ts";
import { decodeFields } from "../encoding/protobuf.ts";
import { DecoderError } from "../errors.ts";
import type { FileInput } from "../io/file-input.ts";
import type { Parameters } from "../keys/keyset.ts";
import type { Descriptor } from "../spec/descriptor.ts";

/** The only type that containerd wraps in its payload message (imgcrypt `RegisterType`). */
export const PAYLOAD_TYPE = "io.containerd.ocicrypt.v1.Payload";

/** What containerd passes with a layer (imgcrypt `Payload`). */
interface Payload {
  readonly descriptor: LayerDescriptor;
  /** Keys and passwords that the pulling client passed along. */
  readonly parameters: Parameters;
}

/** The parts of a descriptor that decrypting needs. */
export interface LayerDescriptor {
  readonly mediaType: Descriptor["mediaType"];
  /** "sha256:<hex>", not checked; undefined when absent. */
  readonly digest: string | undefined;
  /** Bytes; undefined when absent. */
  readonly size: number | undefined;
  readonly annotations: Readonly<Record<string, string>>;
}

/** One descriptor of the layer on standard input. */
export interface FoundLayer {
  readonly descriptor: LayerDescriptor;
  /** Undefined when containerd passed the descriptor itself. */
  readonly blob?: LayerBlob;
  /** On a node of several tenants: for whom the layer is opened. */
  readonly tenancy?: LayerTenancy;
}

/** Where a layer comes from and goes to, by containerd's own records. */
interface LayerTenancy {
  /** Pods that wait for the layer and whose Secrets opened it, "tenant-a/app"; undefined if the node's keys did. */
  readonly pods?: readonly string[];
  /** "registry.example.com/tenant-a/app" */
  readonly repositories?: readonly string[];
  /** Chain IDs that it is unpacked for. */
  readonly chains?: readonly string[];
}

/** The file in a content store that holds the layer. */
export interface LayerBlob {
  readonly file: FileInput;
  /** Whether containerd feeds this open file to standard input, rather than one that begins alike. */
  readonly isInput: boolean;
  /** Whether standard input was read to its end to find it: the layer is then read from this file, which is equal. */
  readonly isRead: boolean;
}

/** What is known about a layer before any key is read. */
export interface Handover {
  /** Groups of descriptors. A group is looked up only when those before it did not open the layer. */
  readonly layers: Iterable<readonly FoundLayer[]>;
  readonly parameters: Parameters;
}

/** Parses a payload. No message quotes it, since it may carry keys. @throws DecoderError BAD_PAYLOAD, BAD_DESCRIPTOR */
export function parsePayload(bytes: Uint8Array<ArrayBuffer>): Payload {
  if (bytes.length === 0) throw bad("is empty");
  const any = parseAny(bytes);
  if (any.typeUrl !== PAYLOAD_TYPE) throw bad(`is not of type ${PAYLOAD_TYPE}`);
  const json = parseJsonObject(any.value);
  if (json === null) throw bad("is not a JSON object");
  return {
    descriptor: parseDescriptor(goField(json, "Descriptor")),
    parameters: parseParameters(goField(json, "DecryptConfig")),
  };
}

const TYPE_URL_FIELD = 1;
const VALUE_FIELD = 2;

/** Parses a google.protobuf.Any. An absent field is empty, as proto3 says. @throws DecoderError BAD_PAYLOAD */
export function parseAny(bytes: Uint8Array<ArrayBuffer>): {
  readonly typeUrl: string;
  readonly value: Uint8Array<ArrayBuffer>;
} {
  const fields = decodeFields(bytes);
  if (fields === null) throw bad("is not a well-formed protobuf message");
  return {
    typeUrl: decodeUtf8(fields.get(TYPE_URL_FIELD) ?? new Uint8Array(0)),
    value: fields.get(VALUE_FIELD) ?? new Uint8Array(0),
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
    throw new DecoderError("BAD_DESCRIPTOR", "the layer descriptor's size is not a whole number");
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
    throw new DecoderError("BAD_DESCRIPTOR", "the layer descriptor's annotations are not a JSON object");
  for (const [name, text] of Object.entries(value)) {
    if (typeof text !== "string")
      throw new DecoderError("BAD_DESCRIPTOR", "a layer annotation is not a string");
    annotations[name] = text;
  }
  return annotations;
}

function parseParameters(config: unknown): Parameters {
  const parameters = new Map<string, readonly (Uint8Array<ArrayBuffer> | null)[]>();
  const lists = isObject(config) ? goField(config, "Parameters") : undefined;
  if (lists === undefined || lists === null) return parameters;
  if (!isObject(lists)) throw bad("has DecryptConfig.Parameters that are not a JSON object");
  for (const name of Object.keys(lists)) parameters.set(name, parseList(name, lists));
  return parameters;
}

function parseList(name: string, lists: JsonObject): (Uint8Array<ArrayBuffer> | null)[] {
  const list = lists[name];
  if (list === null) return [];
  if (!Array.isArray(list)) throw bad("has a parameter that is not a list");
  return list.map((entry: unknown) => {
    if (entry === null) return null;
    const bytes = typeof entry === "string" ? decodeBase64(entry) : null;
    if (bytes === null) throw bad("has a parameter that is not base64");
    return bytes;
  });
}

function bad(what: string): DecoderError {
  return new DecoderError("BAD_PAYLOAD", `the payload that containerd passed ${what}`, {
    hint: "check that the stream processor's ID is exactly io.containerd.ocicrypt.decoder.v1.tar or io.containerd.ocicrypt.decoder.v1.tar.gzip",
  });
}
