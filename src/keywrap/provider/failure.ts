import { DecoderError, type ErrorDetails } from "../../errors.ts";

/** How much of a provider's own words is shown. */
export const DETAIL_BYTES = 1024;

/** A provider's failure. `what` continues the sentence that its name begins: "ended with exit code 5". */
export function providerError(name: string, what: string, details: ErrorDetails = {}): DecoderError {
  return new DecoderError("PROVIDER", `the key provider "${printable(name)}" ${what}`, details);
}

/** Text of others for a message: on one line, without control characters, shortened. */
export function printable(text: string): string {
  const line = text.replace(/[\p{C}\p{Z}]+/gu, " ").trim();
  return line.length > DETAIL_BYTES ? `${line.slice(0, DETAIL_BYTES)}…` : line;
}
