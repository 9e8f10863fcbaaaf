import { DecoderError } from "../errors.ts";
import { parseDigest } from "../spec/digest.ts";

/** A file or directory with the name of an image in it, as the transports on disk write them. */
export interface FileReference {
  /** "-" is standard input or output. */
  readonly path: string;
  /** A tag of an OCI layout or archive; in a Docker archive, a name, or "@" and a position. */
  readonly tag: string | undefined;
  /** Digest of a manifest or index. It chooses the image, and the tag does not. */
  readonly digest: string | undefined;
  /** As the user wrote it: "oci:app:1.0". */
  readonly text: string;
}

/** OCI image spec, "Pre-Defined Annotation Keys": the grammar of org.opencontainers.image.ref.name. */
const REF_NAME =
  /^[A-Za-z0-9]+(?:(?:[-._:@+]|--)[A-Za-z0-9]+)*(?:\/[A-Za-z0-9]+(?:(?:[-._:@+]|--)[A-Za-z0-9]+)*)*$/;
const REF_NAME_CHARS = 255;

/** A truncated or upper-case digest is an error, not a folder with a tag. */
const DIGEST_LIKE = /^sha(?:256|384|512):/i;

/** "PATH[:TAG][@DIGEST]" of a layout or OCI archive. @throws DecoderError USAGE */
export function parseTagged(transport: string, rest: string): FileReference {
  const at = rest.lastIndexOf("@");
  const digest = at < 0 || parseDigest(rest.slice(at + 1)) === undefined ? undefined : rest.slice(at + 1);
  if (digest === undefined && at >= 0 && DIGEST_LIKE.test(rest.slice(at + 1))) {
    throw new DecoderError("USAGE", `"${rest.slice(at + 1)}" is not a digest`, {
      hint: "a digest is sha256: and 64 hexadecimal digits, as inspect prints it",
    });
  }
  const { path, tag } = parseNamed(transport, digest === undefined ? rest : rest.slice(0, at));
  if (tag === undefined || (tag.length <= REF_NAME_CHARS && REF_NAME.test(tag))) {
    return { path, tag, digest, text: `${transport}:${rest}` };
  }
  throw new DecoderError("USAGE", `"${tag}" is not a tag`, {
    hint: tag.startsWith("//")
      ? `did you mean docker:${tag}?`
      : "tags are letters and digits, separated by one of . _ - : @ + or /",
  });
}

/**
 * "PATH[:NAME]" of a Docker archive. As in skopeo, the first colon ends the path, so a path can't contain one.
 * @throws DecoderError USAGE
 */
export function parseNamed(transport: string, rest: string): FileReference {
  const colon = rest.indexOf(":");
  const path = colon < 0 ? rest : rest.slice(0, colon);
  const text = `${transport}:${rest}`;
  if (path === "") throw new DecoderError("USAGE", `"${text}" names no path`);
  return { path, tag: colon < 0 ? undefined : rest.slice(colon + 1), digest: undefined, text };
}
