import { parseJsonObject } from "../encoding/json.ts";
import { checkValues } from "../encoding/json-values.ts";
import { DecoderError } from "../errors.ts";
import { digestOf } from "../io/digester.ts";
import { parseDigest } from "../spec/digest.ts";
import { DOCKER_MANIFEST, DOCKER_MANIFEST_LIST, OCI_INDEX, OCI_MANIFEST } from "../spec/media-types.ts";
import type { HttpResponse } from "./http.ts";

/** A manifest or index as a registry sent it. Its bytes have its digest. */
export interface RemoteDocument {
  readonly bytes: Uint8Array;
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

/** Accepted media types. Without one of them, a registry answers 404 or converts. Docker's first schema is never accepted. */
export const ACCEPT = [OCI_INDEX, OCI_MANIFEST, DOCKER_MANIFEST_LIST, DOCKER_MANIFEST].join(", ");
const SCHEMA_1 = /^application\/vnd\.docker\.distribution\.manifest\.v1\+(?:json|prettyjws)$/;
/** Content types that do not identify a document. */
const VAGUE: ReadonlySet<string> = new Set([
  "",
  "application/json",
  "text/plain",
  "application/octet-stream",
]);

/** What came with a document's bytes. */
interface Received {
  readonly contentType: string | undefined;
  /** Docker-Content-Digest. */
  readonly digest: string | undefined;
  /** "127.0.0.1:5000/app:v1", for messages. */
  readonly name: string;
}

/**
 * Says what a document is. The digest is computed: a header is only compared with it.
 * @param wanted the digest that was asked for
 * @throws DecoderError BAD_IMAGE, DIGEST_MISMATCH, LIMIT
 */
export function identify(bytes: Uint8Array, received: Received, wanted?: string): RemoteDocument {
  const { name } = received;
  const stated = received.digest === undefined ? undefined : parseDigest(received.digest);
  const algorithm = (wanted === undefined ? undefined : parseDigest(wanted)?.algorithm) ?? "sha256";
  const digest = digestOf(bytes, algorithm);
  if (wanted !== undefined && digest !== wanted) throw mismatch(name, wanted);
  if (stated?.algorithm === algorithm && received.digest !== digest)
    throw mismatch(name, `${received.digest}`);
  return { bytes, digest, size: bytes.length, mediaType: mediaTypeOf(bytes, received) };
}

/** RFC 9110 §8.3.1: the type without its parameters. */
export function plainType(contentType: string | undefined): string {
  return (contentType ?? "").split(";", 1)[0]?.trim().toLowerCase() ?? "";
}

function mediaTypeOf(bytes: Uint8Array, { contentType, name }: Received): string {
  const type = plainType(contentType);
  if (type === "text/html") {
    throw new DecoderError("BAD_IMAGE", `${name} is a web page, perhaps a proxy's or a log-in`);
  }
  checkValues(bytes, name);
  const document = parseJsonObject(bytes);
  if (SCHEMA_1.test(type) || document?.["schemaVersion"] === 1) {
    throw new DecoderError(
      "BAD_IMAGE",
      `${name} is of Docker schema 1, which has no digests of its layers as files`,
      {
        hint: "push it again with a current tool",
      },
    );
  }
  if (document === null) throw new DecoderError("BAD_IMAGE", `${name} is not a JSON object`);
  const stated = document["mediaType"];
  if (!VAGUE.has(type)) {
    if (stated === undefined || stated === type) return type;
    throw new DecoderError(
      "BAD_IMAGE",
      `${name} is ambiguous: it was sent as ${type} and calls itself otherwise`,
    );
  }
  if (typeof stated === "string") return stated;
  const [isIndex, isManifest] = [Array.isArray(document["manifests"]), Array.isArray(document["layers"])];
  if (isIndex !== isManifest) return isIndex ? OCI_INDEX : OCI_MANIFEST;
  throw new DecoderError("BAD_IMAGE", `${name} does not say whether it is a manifest or an index`);
}

function mismatch(name: string, digest: string): DecoderError {
  return new DecoderError(
    "DIGEST_MISMATCH",
    `${name} has other bytes than its digest ${digest.slice(0, 160)} says`,
  );
}

/** A small body whole. @throws DecoderError LIMIT beyond `most` bytes */
export async function readCapped(response: HttpResponse, most: number, name: string): Promise<Uint8Array> {
  const bytes = await response.read(most + 1);
  if (bytes.length <= most) return bytes;
  throw new DecoderError("LIMIT", `${name} is larger than the ${most} bytes that one of its kind may have`);
}
