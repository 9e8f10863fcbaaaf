import { isAbsolute } from "node:path";
import { describeSystemError } from "../../errors.ts";
import * as LIMITS from "../../limits.ts";
import { type CommandResult, runCommand } from "../../process/command.ts";
import { findExecutable } from "../../process/find-executable.ts";
import type { SchemeSettings } from "../scheme.ts";
import { type CommandProvider, DETAIL_BYTES, inWords, providerError } from "./configuration.ts";

/**
 * Runs a provider's command with a request on stdin. The command inherits the environment, as with Go.
 * @returns its stdout
 * @throws DecoderError PROVIDER
 */
export async function callCommand(
  provider: CommandProvider,
  request: Uint8Array,
  settings: SchemeSettings,
): Promise<Uint8Array<ArrayBuffer>> {
  const path = findProgram(provider, settings.environment["PATH"]);
  const result = await runCommand(path, provider.args, {
    input: request,
    environment: settings.environment,
    timeoutMs: settings.providerTimeoutMs,
    outputBytes: LIMITS.providerOutputBytes,
    errorBytes: settings.verbose ? DETAIL_BYTES : 0,
  });
  if (result.end.kind === "exit" && result.end.code === 0) return result.output;
  result.output.fill(0);
  throw providerError(provider.name, reason(path, result, settings) + complaint(result, settings));
}

/** Searches the absolute folders of PATH for a bare name. Nothing in the working directory is ever run. */
function findProgram(provider: CommandProvider, searchPath = ""): string {
  if (isAbsolute(provider.path)) return provider.path;
  const found = provider.path.includes("/") ? undefined : findExecutable(provider.path, searchPath);
  if (found === undefined)
    throw providerError(provider.name, `could not be run: ${provider.path} is not on PATH`);
  return found;
}

function reason(path: string, { end }: CommandResult, settings: SchemeSettings): string {
  switch (end.kind) {
    case "exit":
      return `ended with exit code ${end.code}`;
    case "signal":
      return `was killed by ${end.signal}`;
    case "deadline":
      return `did not answer within ${settings.providerTimeoutMs / 1000} s`;
    case "overflow":
      return `gave an answer of more than ${LIMITS.providerOutputBytes} bytes`;
    case "not started":
      return `could not be run: ${path}: ${describeSystemError(end.cause)}`;
  }
}

function complaint({ end, errors }: CommandResult, { verbose }: SchemeSettings): string {
  const text = inWords(Buffer.from(errors).toString());
  if (text !== "") return `: ${text}`;
  return end.kind === "exit" && !verbose ? " (--verbose adds what it writes to stderr)" : "";
}
