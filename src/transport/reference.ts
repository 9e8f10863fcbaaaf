import { DecoderError, errnoOf } from "../errors.ts";
import { parseName } from "../registry/name.ts";
import type {
  DestinationReference,
  FilesReference,
  SourceReference,
  Transport,
  TransportSettings,
} from "./transport.ts";
import { STANDARD_INPUT, STANDARD_OUTPUT, TRANSPORTS } from "./transports.ts";

/** What a user may write for an image to read, for help texts and hints. */
const SOURCE_SYNTAX = `${syntaxOf("source")}, or - for an archive on standard input`;
/** What a user may write for an image to be written. */
const DESTINATION_SYNTAX = `${syntaxOf("destination")}, or - for standard output`;

const SOURCE_HINT = `an image is ${SOURCE_SYNTAX}`;
const MATERIAL_HINT = `${SOURCE_HINT}; files to make one of are ${syntaxOf("files")}`;
const DESTINATION_HINT = `a destination is ${DESTINATION_SYNTAX}`;

/** An absolute path, or one that begins with a dot. */
const PATH = /^\.{0,2}\//;

/** Without credentials of one's own, certificates or proxies. */
const PLAIN: TransportSettings = { registry: { environment: {} }, onNote: () => undefined };

/** Names an existing image. @throws DecoderError USAGE */
export function parseSource(text: string, settings = PLAIN): SourceReference {
  if (text === "-") return STANDARD_INPUT;
  const { transport, rest } = split(text, SOURCE_HINT);
  if (transport.source !== undefined) return advising(transport.source(rest, settings), rest);
  throw new DecoderError("USAGE", `${text} is not an image yet`, {
    hint: "ctd-decoder encrypt makes an image of it",
  });
}

/** Names an existing image, or files of which one can be made. @throws DecoderError USAGE */
export function parseMaterial(text: string, settings = PLAIN): SourceReference | FilesReference {
  if (text === "-") return STANDARD_INPUT;
  const { transport, rest } = split(text, MATERIAL_HINT);
  if (transport.source !== undefined) return advising(transport.source(rest, settings), rest);
  if (transport.files !== undefined) return transport.files(rest);
  throw new DecoderError("USAGE", `an image can't be read from ${text}`, { hint: MATERIAL_HINT });
}

/** Names a place to write an image to. @throws DecoderError USAGE */
export function parseDestination(text: string, settings = PLAIN): DestinationReference {
  if (text === "-") return STANDARD_OUTPUT;
  const { transport, rest } = split(text, DESTINATION_HINT);
  if (transport.destination !== undefined) return transport.destination(rest, settings);
  throw new DecoderError("USAGE", `an image can't be written to ${text}`, { hint: DESTINATION_HINT });
}

/** Whether a text begins with the name of a transport that images are read from. */
export function namesTransport(text: string): boolean {
  return TRANSPORTS.some(({ name, source }) => source !== undefined && text.startsWith(`${name}:`));
}

function split(text: string, hint: string): { readonly transport: Transport; readonly rest: string } {
  const colon = text.indexOf(":");
  const transport = TRANSPORTS.find(({ name }) => name === text.slice(0, Math.max(colon, 0)));
  const rest = text.slice(colon + 1);
  if (transport !== undefined && rest !== "") return { transport, rest };
  const onDisk = /\.tar\b/.test(text) ? "oci-archive" : "oci";
  const meant = PATH.test(text) ? `${onDisk}:${text}` : inRegistry(text);
  throw new DecoderError("USAGE", `"${text}" does not name an image`, {
    hint: meant === undefined ? hint : `did you mean ${meant}? ${hint}`,
  });
}

/** Suggests another transport if the path does not exist: it may be a name with a transport of its own, or a registry's. */
function advising(source: SourceReference, rest: string): SourceReference {
  const meant = namesTransport(rest) ? rest : inRegistry(rest);
  if (meant === undefined) return source;
  return {
    ...source,
    open: async (options) =>
      await source.open(options).catch((error) => {
        if (!(error instanceof DecoderError) || errnoOf(error.cause) !== "ENOENT") throw error;
        const hint = `did you mean ${meant}?`;
        throw new DecoderError(error.code, error.message, { hint, cause: error.cause });
      }),
  };
}

/** How to write a name that begins with a registry's; undefined for any other text. */
function inRegistry(text: string): string | undefined {
  return namesRegistry(text) ? `docker://${text}` : undefined;
}

/** Whether a text is an image's name that begins with a registry's, as `sign` and the trust commands take it. */
function namesRegistry(text: string): boolean {
  try {
    return text.startsWith(`${parseName(text).registry}/`);
  } catch (error) {
    if (error instanceof DecoderError) return false;
    throw error;
  }
}

function syntaxOf(use: "source" | "files" | "destination"): string {
  const all = TRANSPORTS.flatMap((it) => (it[use] === undefined ? [] : [it.syntax])).join(", ");
  // A destination gets its digest from its content.
  return use === "destination" ? all.replaceAll("[@DIGEST]", "") : all;
}
