import { isObject } from "../../encoding/json.ts";
import { parseStrictJson } from "../../encoding/strict-json.ts";
import { DecoderError, type ErrorCode } from "../../errors.ts";
import type { Descriptor } from "../../spec/descriptor.ts";
import { parseDigest } from "../../spec/digest.ts";
import type { FoundSignature } from "../found.ts";

/** What was found, and which places could not be asked: a failure matters only where nothing found is enough. */
export interface Findings {
  readonly found: readonly FoundSignature[];
  readonly failures: readonly DecoderError[];
}

/** Something is there, but not what its name says: other signatures may still count. */
const UNREADABLE: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "NOT_FOUND",
  "DIGEST_MISMATCH",
  "SIZE_MISMATCH",
  "BAD_IMAGE",
  "BAD_DESCRIPTOR",
  "LIMIT",
]);

/**
 * Reads what one place holds. What it lacks or holds damaged becomes an unreadable signature, a place that does not
 * answer becomes a failure.
 */
export async function reading(
  where: string,
  read: () => Promise<readonly FoundSignature[]>,
): Promise<Findings> {
  try {
    return { found: await read(), failures: [] };
  } catch (error) {
    if (!(error instanceof DecoderError)) throw error;
    if (!UNREADABLE.has(error.code)) return { found: [], failures: [error] };
    return { found: [{ form: "unreadable", where, problem: error.message }], failures: [] };
  }
}

export function joined(all: readonly Findings[]): Findings {
  return {
    found: all.flatMap(({ found }) => found),
    failures: all.flatMap(({ failures }) => failures),
  };
}

/** A manifest of signatures or attestations, as much as is needed of it. */
export interface ArtifactManifest {
  readonly artifactType: string | undefined;
  readonly subject: string | undefined;
  readonly layers: readonly Descriptor[];
}

/** @throws DecoderError BAD_IMAGE */
export function parseArtifactManifest(bytes: Uint8Array, name: string): ArtifactManifest {
  const value = parseArtifactObject(bytes, name);
  const { artifactType, subject, layers } = value;
  if (!Array.isArray(layers) || !layers.every(isDescriptor))
    throw new DecoderError("BAD_IMAGE", `${name} is not a manifest with layers`);
  return {
    artifactType: typeof artifactType === "string" ? artifactType : undefined,
    subject: isObject(subject) && typeof subject["digest"] === "string" ? subject["digest"] : undefined,
    layers,
  };
}

/** @throws DecoderError BAD_IMAGE */
export function parseArtifactIndex(bytes: Uint8Array, name: string): readonly Descriptor[] {
  const { manifests } = parseArtifactObject(bytes, name);
  if (Array.isArray(manifests) && manifests.every(isDescriptor)) return manifests;
  throw new DecoderError("BAD_IMAGE", `${name} is not an index of manifests`);
}

function parseArtifactObject(bytes: Uint8Array, name: string): Readonly<Record<string, unknown>> {
  try {
    const value = parseStrictJson(bytes);
    if (isObject(value)) return value;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new DecoderError("BAD_IMAGE", `${name} is not a manifest: ${error.message}`);
  }
  throw new DecoderError("BAD_IMAGE", `${name} is not a manifest`);
}

function isDescriptor(value: unknown): value is Descriptor {
  if (!isObject(value)) return false;
  const { mediaType, digest, size, annotations = {} } = value;
  return (
    typeof mediaType === "string" &&
    typeof digest === "string" &&
    parseDigest(digest) !== undefined &&
    typeof size === "number" &&
    Number.isSafeInteger(size) &&
    size >= 0 &&
    (annotations === null ||
      (isObject(annotations) && Object.values(annotations).every((it) => typeof it === "string")))
  );
}
