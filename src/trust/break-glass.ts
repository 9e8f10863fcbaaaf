import { existsSync } from "node:fs";
import { readOwned } from "./owned-files.ts";
import type { ImagePlace } from "./policy/policy.ts";
import { scopesOf } from "./policy/scopes.ts";
import type { PolicyFinding } from "./policy-finding.ts";

/** An exception from the policy that ends by itself. */
interface Exception {
  /** Milliseconds since 1970. */
  readonly until: number;
  /** As in containers-policy.json: a registry, namespace, repository or image. */
  readonly scope: string;
  readonly reason: string;
}

/** `until 2026-12-24T18:00:00Z scope registry.example.com/shop reason the registry's signatures are lost` */
const LINE =
  /^until ((\d{4}-\d\d-\d\d)T\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)) scope (\S+) reason (\S.*)$/;
const COMMENT = /^(?:#.*)?$/;

/** The exception that a line makes; undefined for any other line. */
function parseException(line: string): Exception | undefined {
  const [, time = "", day = "", scope = "", reason = ""] = LINE.exec(line) ?? [];
  const until = Date.parse(time);
  // Date.parse takes the 31st of February for the 3rd of March.
  const isDay = !Number.isNaN(until) && new Date(day).toISOString().startsWith(day);
  return isDay ? { until, scope, reason } : undefined;
}

/** @throws DecoderError CONFIG when others than root may write to the file */
function readLines(path: string): readonly string[] {
  if (!existsSync(path)) return [];
  const lines = Buffer.from(readOwned(path)).toString("utf8").split("\n");
  return lines.map((line) => line.trim());
}

/**
 * The exception that applies to an image now, of a file that only root may write.
 * @throws DecoderError CONFIG when others may write to the file
 */
export function exceptionFor(place: ImagePlace, path: string, now: number): Exception | undefined {
  const exceptions = readLines(path).flatMap((line) => parseException(line) ?? []);
  const scopes = scopesOf(place).filter((scope) => scope !== "");
  return exceptions.find(({ until, scope }) => now < until && scopes.includes(scope));
}

/** Why an image with an exception is accepted. */
export function exceptionReason({ until, reason }: Exception): string {
  return `break-glass until ${new Date(until).toISOString()}: ${reason}`;
}

/**
 * The exceptions that apply now, and the lines that make none.
 * @throws DecoderError CONFIG when others may write to the file
 */
export function breakGlassFindings(path: string, now: number): readonly PolicyFinding[] {
  return readLines(path).flatMap((line, position): PolicyFinding[] => {
    if (COMMENT.test(line)) return [];
    const exception = parseException(line);
    if (exception === undefined) {
      const message = `line ${position + 1} of ${path} makes no exception`;
      return [{ severity: "warning", message, hint: "write: until TIME scope SCOPE reason TEXT" }];
    }
    const { until, scope, reason } = exception;
    if (now >= until) return [];
    const message = `images of ${scope} are not checked until ${new Date(until).toISOString()}: ${reason}`;
    return [{ severity: "warning", message, hint: `to end this, remove line ${position + 1} of ${path}` }];
  });
}
