import { DecoderError } from "../errors.ts";
import type { Finding } from "./finding.ts";

/** The result of `work`, or undefined and a finding with the reason. */
export function attempt<T>(findings: Finding[], work: () => Promise<T>): Promise<T | undefined>;
export function attempt<T>(findings: Finding[], work: () => T): T | undefined;
export function attempt<T>(
  findings: Finding[],
  work: () => T | Promise<T>,
): T | undefined | Promise<T | undefined> {
  const failed = (error: unknown) => {
    if (!(error instanceof DecoderError)) throw error;
    const { message, hint } = error;
    findings.push({ severity: "error", message, ...(hint !== undefined && { hint }) });
    return undefined;
  };
  try {
    const result = work();
    return result instanceof Promise ? result.catch(failed) : result;
  } catch (error) {
    return failed(error);
  }
}
