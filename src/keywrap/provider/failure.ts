import { DecoderError, type ErrorDetails } from "../../errors.ts";
import { printable } from "../../text.ts";

/** How much of a provider's own words is shown. */
export const DETAIL_BYTES = 1024;

/** A provider's failure. `what` continues the sentence that its name begins: "ended with exit code 5". */
export function providerError(name: string, what: string, details: ErrorDetails = {}): DecoderError {
  return new DecoderError("PROVIDER", `the key provider "${inWords(name)}" ${what}`, details);
}

/** A provider's own words for a message, on one line. */
export function inWords(text: string): string {
  return printable(text, DETAIL_BYTES).replace(/\s+/g, " ").trim();
}
