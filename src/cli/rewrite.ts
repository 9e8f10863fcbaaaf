import { DecoderError } from "../errors.ts";
import type { Running } from "../image/progress.ts";
import type { Into, RewriteResult } from "../image/rewrite.ts";
import type { Selection } from "../image/select.ts";
import { UNNAMED } from "../keywrap/describe.ts";
import type { WrapSettings } from "../keywrap/scheme.ts";
import { printable } from "../text.ts";
import { parseDestination } from "../transport/reference.ts";
import type { DestinationReference, SourceReference, TransportSettings } from "../transport/transport.ts";
import type { Arguments } from "./arguments.ts";
import type { Command, Operand, Options } from "./command.ts";
import { BOTH_REGISTRY_OPTIONS, note, transportSettings } from "./registry-options.ts";
import {
  KEY_OPTIONS,
  OUTPUT_OPTIONS,
  SELECTION_OPTIONS,
  schemeSettings,
  selection,
} from "./shared-options.ts";
import { StandardStream } from "./standard-stream.ts";
import type { Ui } from "./ui.ts";
import { count } from "./units.ts";

/** What the commands that make one image from another have in common. */

export const FROM_TO: readonly Operand[] = [
  { name: "SOURCE", completes: "images" },
  { name: "DEST", completes: "images" },
];

export const REWRITE_OPTIONS: Options = {
  ...SELECTION_OPTIONS,
  force: { help: "replace DEST's tag or archive if it exists", alias: "f" },
  ...KEY_OPTIONS,
  ...BOTH_REGISTRY_OPTIONS,
  ...OUTPUT_OPTIONS,
};

/** Options that each of them takes. */
export interface CommonOptions<Source = SourceReference> {
  readonly source: Source;
  readonly into: Into;
  readonly settings: WrapSettings;
  readonly selection: Selection;
}

/** What one of them did. */
interface Rewritten extends RewriteResult {
  /** Name that the new image was signed for; undefined if it was not signed. */
  readonly signedAs?: string;
  /** The public key. */
  readonly signedBy?: string;
}

/** What one of them does. Every mistake on the command line is found before the work begins. */
interface RewriteSteps<Source> {
  /** "encrypting", "encrypted" */
  readonly verbs: readonly [doing: string, done: string];
  /** Parses SOURCE. @throws DecoderError USAGE */
  readonly parseSource: (text: string, settings: TransportSettings) => Source;
  prepare(args: Arguments, common: CommonOptions<Source>): Promise<(running: Running) => Promise<Rewritten>>;
}

export function runRewrite<Source>({
  verbs: [doing, done],
  parseSource,
  prepare,
}: RewriteSteps<Source>): Command["run"] {
  return async (args, ui) => {
    const source = parseSource(args.operand(0), transportSettings(args, "src"));
    const destination = parseDestination(args.operand(1), transportSettings(args, "dest"));
    checkOutput(destination);
    const common = {
      source,
      into: { destination, replace: args.flag("force"), looksForReferrers: !ui.isQuiet },
      settings: schemeSettings(args),
      selection: selection(args),
    };
    const rewrite = await prepare(args, common);
    const result = await ui.work(
      doing,
      (progress, signal) => rewrite({ progress, signal }),
      "the destination is as it was",
    );
    if (result.hadReferrers) note(lostReferrers(destination, result));
    ui.result({ destination: destination.text, ...result }, () => summary(ui, done, destination, result));
    ui.printIfQuiet(result.digest);
  };
}

/** @throws DecoderError USAGE if an archive would go to a terminal */
function checkOutput(destination: DestinationReference): void {
  if (!destination.isPipe || !new StandardStream(1).isTTY) return;
  throw new DecoderError("USAGE", "refusing to write an image archive to a terminal", {
    hint: "redirect standard output to a file or a pipe, or name a destination",
  });
}

/** Signatures are of bytes: those of the old image say nothing of the new one. */
function lostReferrers({ text }: DestinationReference, { digest }: RewriteResult): string {
  const name = text.replace(/^docker:\/\//, "");
  return `signatures or attestations of the image were left with its old digest; ctd-decoder sign --key KEY ${name} signs the new one, ${digest}`;
}

function summary(
  ui: Ui,
  done: string,
  destination: DestinationReference,
  { layers, keptLayers, attachments, absent, digest, signedAs, signedBy }: Rewritten,
): string {
  const kept = keptLayers > 0 ? [`${count(keptLayers, "layer")} unchanged`] : [];
  const attached = count(attachments, "attestation or signature", "attestations or signatures");
  const notes = attachments > 0 ? [...kept, `${attached} left unencrypted`] : kept;
  const what = [
    `${done} ${count(layers.length, "layer")} into ${ui.style.bold(destination.text)}`,
    ...notes,
  ].join("; ");
  const missing = absent.map(({ digest, platform }) => printable(platform ?? digest)).join(", ");
  const leftOut = absent.length > 0 ? `left out, since SOURCE lacks it: ${missing}\n` : "";
  const signed =
    signedAs === undefined ? "" : `signed as ${ui.style.bold(printable(signedAs))} with key ${signedBy}\n`;
  return `${what}\n${recipientLines(layers)}${leftOut}${signed}${digest}\n`;
}

const CHANGES = ["added", "kept", "removed"] as const;
/** Recipients that one line names. The others are counted. */
const RECIPIENTS_SHOWN = 8;

/** One line each for the recipients that were added, kept and removed, of all layers together. */
function recipientLines(layers: RewriteResult["layers"]): string {
  return CHANGES.map((change) => {
    const all = layers.flatMap(({ recipients }) => recipients?.[change] ?? []);
    const names = new Set(
      all.map(({ scheme, algorithm, id = UNNAMED }) => `${scheme}: ${algorithm ?? ""} ${id}`),
    );
    const shown = [...names].slice(0, RECIPIENTS_SHOWN).map((name) => printable(name));
    const more = names.size > shown.length ? `, and ${names.size - shown.length} more` : "";
    return names.size === 0 ? "" : `recipients ${change}: ${shown.join(", ")}${more}\n`;
  }).join("");
}
