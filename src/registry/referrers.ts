import { isObject, parseJsonObject } from "../encoding/json.ts";
import type { Descriptor } from "../spec/descriptor.ts";
import { parseDigest } from "../spec/digest.ts";
import * as LIMITS from "../system-limits.ts";

/** What refers to an image by its `subject`: signatures, attestations, SBOMs. */
export interface Referrer extends Descriptor {
  readonly artifactType?: string;
}

/** Distribution-spec, "Unavailable Referrers API": the tag that lists what refers to a digest. */
export function fallbackTag(digest: string): string {
  return digest.replace(":", "-");
}

/** The well-formed entries of an index of referrers; a registry or a stranger may have written anything into it. */
export function parseReferrers(bytes: Uint8Array): Referrer[] {
  const manifests = parseJsonObject(bytes)?.["manifests"];
  return Array.isArray(manifests) ? manifests.filter(isReferrer).slice(0, LIMITS.referrers) : [];
}

function isReferrer(value: unknown): value is Referrer {
  if (!isObject(value)) return false;
  const { mediaType, digest, size, artifactType, annotations } = value;
  const isDescriptor =
    typeof mediaType === "string" && typeof digest === "string" && parseDigest(digest) !== undefined;
  const isSize = Number.isSafeInteger(size) && (size as number) >= 0;
  const isKnown = artifactType === undefined || typeof artifactType === "string";
  return isDescriptor && isSize && isKnown && (annotations === undefined || areTexts(annotations));
}

function areTexts(value: unknown): boolean {
  return isObject(value) && Object.values(value).every((text) => typeof text === "string");
}
