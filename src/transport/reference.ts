import { DecoderError } from "../errors.ts";

/** Where an image is, in skopeo's notation; `rootfs` and `tar` hold what a one-layer image is made from. */
export interface Place {
  readonly kind: PlaceKind;
  /** "-" is standard input or output. */
  readonly path: string;
  /** A tag of an OCI layout or archive; a name, or "@" and a position, in a Docker archive. */
  readonly tag?: string;
}

export type PlaceKind = "oci" | "oci-archive" | "docker-archive" | "rootfs" | "tar";

const TAGGED: ReadonlySet<string> = new Set(["oci", "oci-archive", "docker-archive"]);
const UNTAGGED: ReadonlySet<string> = new Set(["rootfs", "tar"]);
/** What can be written. */
const WRITABLE: ReadonlySet<string> = new Set(["oci", "oci-archive"]);

/** OCI image spec, "Pre-Defined Annotation Keys": the grammar of org.opencontainers.image.ref.name. */
const REF_NAME =
  /^[A-Za-z0-9]+(?:(?:[-._:@+]|--)[A-Za-z0-9]+)*(?:\/[A-Za-z0-9]+(?:(?:[-._:@+]|--)[A-Za-z0-9]+)*)*$/;
const REF_NAME_CHARS = 255;

const IMAGES =
  "an image is oci:DIR[:TAG], oci-archive:FILE[:TAG], docker-archive:FILE[:NAME], or - for an archive on standard input; skopeo copy docker://NAME oci:DIR:TAG fetches one";
const MATERIALS = `${IMAGES}; rootfs:DIR and tar:FILE are files to make one of`;
const DESTINATIONS =
  "destinations are oci:DIR[:TAG] and oci-archive:FILE[:TAG], or - for standard output; skopeo copy takes it to a registry";

/** An image, or what one can be made from. @throws DecoderError USAGE */
export function parsePlace(text: string): Place {
  return parse(text, MATERIALS);
}

/** An image that is there already. @throws DecoderError USAGE */
export function parseImage(text: string): Place {
  const place = parse(text, IMAGES);
  if (TAGGED.has(place.kind)) return place;
  throw new DecoderError("USAGE", `${text} is no image yet`, {
    hint: "ctd-decoder encrypt makes an image of it",
  });
}

/** A place that images can be written to. @throws DecoderError USAGE */
export function parseTarget(text: string): Place {
  const place = parse(text, DESTINATIONS);
  if (WRITABLE.has(place.kind)) return place;
  throw new DecoderError("USAGE", `an image can't be written to "${text}"`, { hint: DESTINATIONS });
}

/** @param wanted what may stand there, for messages */
function parse(text: string, wanted: string): Place {
  if (text === "-") return { kind: "oci-archive", path: "-" };
  const [kind, rest] = cut(text);
  if (UNTAGGED.has(kind) && rest) return { kind: kind as PlaceKind, path: rest };
  if (!TAGGED.has(kind) || !rest) {
    throw new DecoderError("USAGE", `"${text}" names no image`, { hint: wanted });
  }
  const [path, tag] = cut(rest);
  const place = { kind: kind as PlaceKind, path };
  if (path === "") throw new DecoderError("USAGE", `"${text}" names no path`, { hint: wanted });
  if (path === "-" && kind === "oci") {
    throw new DecoderError("USAGE", "a layout is a directory and can't come through a pipe", {
      hint: "use oci-archive:-",
    });
  }
  if (!rest.includes(":")) return place;
  if (kind !== "docker-archive") checkTag(tag);
  return { ...place, tag };
}

export function formatPlace(place: Place): string {
  return `${place.kind}:${place.path}${place.tag === undefined ? "" : `:${place.tag}`}`;
}

function checkTag(tag: string): void {
  if (tag.length <= REF_NAME_CHARS && REF_NAME.test(tag)) return;
  throw new DecoderError("USAGE", `"${tag}" is no tag`, {
    hint: "tags are letters and digits, separated by one of . _ - : @ + or /",
  });
}

/** As skopeo does: the first colon ends the path, so a path can't hold one. */
function cut(text: string): [string, string] {
  const colon = text.indexOf(":");
  return colon < 0 ? [text, ""] : [text.slice(0, colon), text.slice(colon + 1)];
}
