import { DecoderError } from "../errors.ts";
import type { RewriteResult } from "../image/rewrite.ts";
import { formatPlace, type Place } from "../oci/reference.ts";
import type { Ui } from "./ui.ts";
import { count } from "./units.ts";

/** @throws DecoderError USAGE when an archive would go to a terminal */
export function checkOutput(target: Place): void {
  if (target.path !== "-" || !process.stdout.isTTY) return;
  throw new DecoderError("USAGE", "an image archive on a terminal helps nobody", {
    hint: "redirect standard output to a file or a pipe, or name a destination",
  });
}

export function printRewrite(ui: Ui, verb: string, target: Place, result: RewriteResult): void {
  ui.result({ destination: formatPlace(target), ...result }, () => {
    const { layers, keptLayers, attachments, digest } = result;
    const notes = [
      keptLayers > 0 ? `${count(keptLayers, "layer")} kept as before` : "",
      attachments > 0
        ? `${count(attachments, "attestation or signature", "attestations or signatures")} kept readable`
        : "",
    ].filter((note) => note !== "");
    const more = notes.length > 0 ? `; ${notes.join("; ")}` : "";
    return `${verb} ${count(layers.length, "layer")} into ${ui.style.bold(formatPlace(target))}${more}\n${digest}\n`;
  });
}
