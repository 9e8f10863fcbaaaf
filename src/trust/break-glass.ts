import { existsSync } from "node:fs";
import { readOwned } from "./owned-files.ts";
import type { ImagePlace } from "./policy/policy.ts";
import { scopesOf } from "./policy/scopes.ts";

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
  /^until (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)) scope (\S+) reason (\S.*)$/;

/** The exceptions that a file's lines make. Whatever is not such a line makes none. */
function parseExceptions(text: string): Exception[] {
  return text.split("\n").flatMap((line) => {
    const [, time = "", scope = "", reason = ""] = LINE.exec(line.trim()) ?? [];
    const until = Date.parse(time);
    return Number.isNaN(until) ? [] : [{ until, scope, reason }];
  });
}

/**
 * The exception that applies to an image now, of a file that only root may write.
 * @throws DecoderError CONFIG when others may write to the file
 */
export function exceptionFor(place: ImagePlace, path: string, now: number): Exception | undefined {
  if (!existsSync(path)) return undefined;
  const exceptions = parseExceptions(Buffer.from(readOwned(path)).toString("utf8"));
  const scopes = scopesOf(place).filter((scope) => scope !== "");
  return exceptions.find(({ until, scope }) => now < until && scopes.includes(scope));
}
