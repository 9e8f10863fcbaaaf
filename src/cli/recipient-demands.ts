import { existsSync } from "node:fs";
import { DecoderError, describeSystemError } from "../errors.ts";
import type { AbsentInfo } from "../image/tree.ts";
import type { LayerPlace, LayerRecipients } from "../image/verify.ts";
import { readSmallFile } from "../io/file.ts";
import { recipientName, UNNAMED } from "../keywrap/describe.ts";
import { schemeOf } from "../keywrap/schemes.ts";
import * as LIMITS from "../limits.ts";
import type { Arguments } from "./arguments.ts";
import type { Options } from "./command.ts";
import { GPG_OPTIONS, platforms, schemeSettings } from "./shared-options.ts";
import { count } from "./units.ts";

/** What a pipeline demands of an image: that it is encrypted, and for whom. */

export const DEMAND_OPTIONS: Options = {
  "require-encrypted": { help: "fail if a chosen layer is missing or not encrypted" },
  "require-recipient": {
    value: "RECIPIENT",
    help: "fail unless every encrypted layer is for exactly these recipients, as encrypt takes them",
    repeats: true,
  },
  "require-recipients": {
    value: "FILE",
    help: "the same, with SCHEME:ID of a recipient on each line of FILE",
  },
  ...GPG_OPTIONS,
};

export const DEMANDS_NOTE =
  "A line of --require-recipients is SCHEME:ID, as jwe:KID, or a recipient as inspect prints it. A line that starts with # is a comment. Both options together demand the recipients of both. Recipients without a name look alike: a layer may have as many as are demanded.";

interface Demands {
  readonly isAllEncrypted: boolean;
  /** Whether an entry that the source lacks may be for a chosen platform. */
  readonly mayBeChosen: (entry: AbsentInfo) => boolean;
  /** Undefined: any recipients. */
  readonly recipients: readonly Demanded[] | undefined;
}

interface Demanded {
  /** As it was named. */
  readonly text: string;
  /** `SCHEME:ID`, in any of which an image may name it. */
  readonly names: ReadonlySet<string>;
}

/** The parts of an image that demands check. */
export interface Demandable {
  /** Layers that are not encrypted. */
  readonly plain: readonly LayerPlace[];
  /** Entries of indexes that the source lacks. */
  readonly absent: readonly AbsentInfo[];
  /** The encrypted layers. */
  readonly recipients: readonly LayerRecipients[];
  /** Encrypted layers that lack what any key needs to open them. Undefined if they were opened. */
  readonly broken?: readonly BrokenLayer[];
}

interface BrokenLayer extends LayerPlace {
  readonly problem: string;
}

/** @throws DecoderError IO, CONFIG, USAGE, BAD_RECIPIENT */
export async function namedDemands(args: Arguments): Promise<Demands> {
  const isAllEncrypted = args.flag("require-encrypted");
  const { mayBeChosen } = await import("../image/select.ts");
  const chosen = { isAllEncrypted, mayBeChosen: (it: AbsentInfo) => mayBeChosen(it, platforms(args)) };
  const [named, file] = [args.texts("require-recipient"), args.text("require-recipients")];
  if (named.length === 0 && file === undefined) return { ...chosen, recipients: undefined };
  const { namesOf } = await import("../keywrap/recipient-names.ts");
  const settings = schemeSettings(args);
  const inFiles = named.map(async (text) => ({ text, names: await namesOf(text, settings) }));
  const listed = file === undefined ? [] : readRecipients(file);
  return { ...chosen, recipients: [...(await Promise.all(inFiles)), ...listed] };
}

/** The first demand that an image does not meet. */
export function unmetDemand(
  { isAllEncrypted, mayBeChosen, recipients }: Demands,
  image: Demandable,
): DecoderError | undefined {
  const [first] = image.plain;
  if (isAllEncrypted && first !== undefined) {
    const others = image.plain.length > 1 ? ` and ${count(image.plain.length - 1, "other layer")}` : "";
    return new DecoderError("UNHEALTHY", `not encrypted: ${describePlace(first)}${others}`);
  }
  const absent = image.absent.filter(mayBeChosen);
  if (isAllEncrypted && absent.length > 0)
    return new DecoderError("UNHEALTHY", `SOURCE lacks ${count(absent.length, "manifest")} of the index`);
  if (!isAllEncrypted && recipients === undefined) return undefined;
  if (image.recipients.length === 0) return new DecoderError("UNHEALTHY", "no layer is encrypted");
  const [broken] = image.broken ?? [];
  if (broken !== undefined)
    return new DecoderError("BAD_ANNOTATION", `${describePlace(broken)}: ${broken.problem}`);
  return recipients && unmetRecipients(recipients, image.recipients);
}

function unmetRecipients(
  demanded: readonly Demanded[],
  layers: readonly LayerRecipients[],
): DecoderError | undefined {
  for (const layer of layers) {
    const missing = demanded.filter(({ names }) => !layer.names.some((name) => names.has(name)));
    if (missing.length > 0)
      return new DecoderError(
        "BAD_RECIPIENT",
        `${describePlace(layer)} is not encrypted for ${missing.map(({ text }) => text).join(", ")}`,
        { hint: fileHint(missing) ?? `it is encrypted for ${layer.names.join(", ")}` },
      );
    const unwanted = unwantedOf(layer.names, demanded);
    if (unwanted.length > 0)
      return new DecoderError(
        "BAD_RECIPIENT",
        `${describePlace(layer)} is also encrypted for ${unwanted.join(", ")}`,
      );
  }
  return undefined;
}

/** Returns advice if a line of the list names a recipient's file. An id may also be the name of some file. */
function fileHint(missing: readonly Demanded[]): string | undefined {
  const listed = missing.find(
    ({ text, names }) => names.has(text) && existsSync(text.slice(text.indexOf(":") + 1)),
  );
  return listed && `a line holds an id; demand the key in a file with --require-recipient ${listed.text}`;
}

/** One recipient may have several packets. Of those without a name, each packet may be for another one. */
function unwantedOf(names: readonly string[], demanded: readonly Demanded[]): string[] {
  const counts = new Map<string, number>();
  return names.filter((name) => {
    const count = (counts.get(name) ?? 0) + 1;
    counts.set(name, count);
    const wanted = demanded.filter((it) => it.names.has(name)).length;
    return wanted === 0 || (isUnnamed(name) && count > wanted);
  });
}

function isUnnamed(name: string): boolean {
  return name.endsWith(`:${UNNAMED}`);
}

export function describePlace({ platform, position }: LayerPlace): string {
  return `${platform} layer ${position}`;
}

/** Reads a list of recipients, one a line. @throws DecoderError IO, CONFIG */
function readRecipients(file: string): readonly Demanded[] {
  let text: string;
  try {
    text = Buffer.from(readSmallFile(file, LIMITS.manifestBytes)).toString();
  } catch (cause) {
    throw new DecoderError("IO", `can't read ${file}: ${describeSystemError(cause)}`, { cause });
  }
  const lines = text.split("\n").map((line) => line.trim());
  const isRecipient = (line: string) => line !== "" && !line.startsWith("#");
  const bare = lines.findIndex(
    (line) => isRecipient(line) && schemeOf(line.split(":", 1).join("")) === undefined,
  );
  // The line is not quoted: the file may be another one, with a secret.
  if (bare >= 0)
    throw new DecoderError("CONFIG", `line ${bare + 1} of ${file} names a recipient without a scheme`, {
      hint: "write jwe:KID for example; inspect shows recipients in this form",
    });
  const all = lines.filter(isRecipient).map(recipientName);
  const names = [...new Set(all.filter((name) => !isUnnamed(name))), ...all.filter(isUnnamed)];
  if (names.length > 0) return names.map((name) => ({ text: name, names: new Set([name]) }));
  throw new DecoderError("CONFIG", `${file} names no recipient`, {
    hint: "write one recipient on each line, as jwe:KID; inspect shows them",
  });
}
