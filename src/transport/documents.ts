import { isObject } from "../encoding/json.ts";
import { type JsonStyle, parseJson } from "../encoding/json-document.ts";
import { checkValues } from "../encoding/json-values.ts";
import { DecoderError } from "../errors.ts";
import * as LIMITS from "../limits.ts";
import type { Descriptor } from "../spec/descriptor.ts";
import { parseDigest } from "../spec/digest.ts";
import type { Index, Manifest } from "../spec/manifest.ts";
import { OCI_INDEX, OCI_MANIFEST } from "../spec/media-types.ts";
import * as SYSTEM_LIMITS from "../system-limits.ts";

/** A parsed JSON document. An unchanged `value` written in `style` gives the same bytes again. */
export interface Document<T> {
  readonly value: T;
  readonly style: JsonStyle;
}

/** @throws DecoderError BAD_IMAGE, LIMIT */
export function parseManifest(bytes: Uint8Array, name: string): Document<Manifest> {
  const { value, style } = parseObject(bytes, name);
  const layers = value["layers"] ?? [];
  if (!Array.isArray(layers)) throw bad(name, "its layers are not a list");
  checkCount(layers.length, LIMITS.layers, name, "layers");
  checkDescriptor(value["config"], `the config of ${name}`);
  layers.forEach((layer, position) => {
    checkDescriptor(layer, `layer ${position} of ${name}`);
  });
  checkCommon(value, name);
  return { value: (value["layers"] ? value : { ...value, layers }) as unknown as Manifest, style };
}

/** @throws DecoderError BAD_IMAGE, LIMIT */
export function parseIndex(bytes: Uint8Array, name: string): Document<Index> {
  const { value, style } = parseObject(bytes, name);
  const manifests = value["manifests"] ?? [];
  if (!Array.isArray(manifests)) throw bad(name, "its manifests are not a list");
  checkCount(manifests.length, SYSTEM_LIMITS.indexEntries, name, "manifests");
  manifests.forEach((entry, position) => {
    const where = `entry ${position} of ${name}`;
    checkDescriptor(entry, where);
    const platform = entry["platform"];
    if (platform !== undefined && !isPlatform(platform))
      throw bad(where, "its platform has no os and architecture");
  });
  checkCommon(value, name);
  return { value: (value["manifests"] ? value : { ...value, manifests }) as unknown as Index, style };
}

/** @throws DecoderError BAD_IMAGE for what is not a JSON object, LIMIT */
export function parseObject(bytes: Uint8Array, name: string): Document<Record<string, unknown>> {
  checkValues(bytes, name);
  let document: { value: unknown; style: JsonStyle };
  try {
    document = parseJson(bytes);
  } catch {
    throw bad(name, "it is not JSON");
  }
  if (!isObject(document.value)) throw bad(name, "it is not a JSON object");
  return { value: document.value, style: document.style };
}

/** The media type of a manifest or index, from its own fields. @throws DecoderError BAD_IMAGE, LIMIT */
export function mediaTypeOf(bytes: Uint8Array, name: string): string {
  const { mediaType, layers, manifests } = parseObject(bytes, name).value;
  if (typeof mediaType === "string") return mediaType;
  // OCI image spec: `mediaType` is optional in both.
  return layers === undefined && manifests !== undefined ? OCI_INDEX : OCI_MANIFEST;
}

/** @throws DecoderError BAD_IMAGE */
export function checkDescriptor(value: unknown, where: string): asserts value is Descriptor {
  if (!isObject(value)) throw bad(where, "it is not a descriptor");
  const { mediaType, digest, size, annotations } = value;
  if (typeof mediaType !== "string") throw bad(where, "it has no media type");
  if (typeof digest !== "string" || parseDigest(digest) === undefined) {
    throw bad(where, "its digest is not a SHA-256, SHA-384 or SHA-512 digest");
  }
  if (typeof size !== "number" || !Number.isSafeInteger(size) || size < 0)
    throw bad(where, "its size is not a byte count");
  checkAnnotations(annotations, where);
}

function checkCommon(value: Record<string, unknown>, name: string): void {
  checkAnnotations(value["annotations"], name);
  if (value["subject"] !== undefined) checkDescriptor(value["subject"], `the subject of ${name}`);
}

function checkAnnotations(value: unknown, where: string): void {
  if (value === undefined || value === null) return;
  if (isObject(value) && Object.values(value).every((text) => typeof text === "string")) return;
  throw bad(where, "its annotations are not all text");
}

function isPlatform(value: unknown): boolean {
  return isObject(value) && typeof value["os"] === "string" && typeof value["architecture"] === "string";
}

function checkCount(count: number, most: number, name: string, what: string): void {
  if (count <= most) return;
  throw new DecoderError("LIMIT", `${name} has ${count} ${what}; it may have at most ${most}`);
}

function bad(name: string, problem: string): DecoderError {
  return new DecoderError("BAD_IMAGE", `${name} is malformed: ${problem}`);
}
