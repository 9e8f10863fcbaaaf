import { DecoderError } from "../errors.ts";
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

/** Without credentials of one's own, certificates or proxies. */
const PLAIN: TransportSettings = { registry: { environment: {} }, onNote: () => undefined };

/** Names an existing image. @throws DecoderError USAGE */
export function parseSource(text: string, settings = PLAIN): SourceReference {
  if (text === "-") return STANDARD_INPUT;
  const { transport, rest } = split(text, SOURCE_HINT);
  if (transport.source !== undefined) return transport.source(rest, settings);
  throw new DecoderError("USAGE", `${text} is not an image yet`, {
    hint: "ctd-decoder encrypt makes an image of it",
  });
}

/** Names an existing image, or files of which one can be made. @throws DecoderError USAGE */
export function parseMaterial(text: string, settings = PLAIN): SourceReference | FilesReference {
  if (text === "-") return STANDARD_INPUT;
  const { transport, rest } = split(text, MATERIAL_HINT);
  const parse = transport.source ?? transport.files;
  if (parse !== undefined) return parse(rest, settings);
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
  const suggestion = namesRegistry(text) ? `did you mean docker://${text}? ` : "";
  throw new DecoderError("USAGE", `"${text}" does not name an image`, { hint: suggestion + hint });
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
