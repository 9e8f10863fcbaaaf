import { statSync } from "node:fs";
import { readTrustedRoot, type TrustedAuthority } from "./check/trusted-root.ts";
import type { Certificate } from "./check/x509.ts";
import type { PolicyFinding } from "./policy-finding.ts";
import type { TrustFile } from "./requirement.ts";

const DAY_MS = 24 * 60 * 60 * 1000;
/** Replacing a trusted root on all nodes takes time. */
const SOON_MS = 30 * DAY_MS;
/** A file that was copied from another machine may be a little ahead of this one's clock. */
const SKEW_MS = DAY_MS;

/**
 * Reports a trusted root that has ended or ends soon. Earlier signatures stay valid; later ones are refused.
 * @param now milliseconds since 1970
 * @throws DecoderError CONFIG if the file is not a trusted root
 */
export function rootFindings(file: TrustFile, now: number): readonly PolicyFinding[] {
  const { authorities } = readTrustedRoot(file);
  const begun = authorities.map(periodOf).filter(({ start }) => start <= now);
  if (authorities.length === 0) return [];
  const hint = "get the current one from the Sigstore instance: cosign trusted-root create";
  if (begun.length === 0) {
    const first = Math.min(...authorities.map((authority) => periodOf(authority).start));
    return [
      { severity: "error", message: `${file.name}: its first authority is valid from ${day(first)} on` },
    ];
  }
  const last = Math.max(...begun.map(({ end }) => end));
  if (last < now) {
    const message = `${file.name}: its last authority ended on ${day(last)}, so newer keyless signatures are refused`;
    return [{ severity: "error", message, hint }];
  }
  if (last - now > SOON_MS) return [];
  return [{ severity: "warning", message: `${file.name}: its last authority ends on ${day(last)}`, hint }];
}

/** A warning for each certificate of a policy's file that is not valid now. */
export function certificateFindings(
  certificates: readonly Certificate[],
  name: string,
  now: number,
): readonly PolicyFinding[] {
  return certificates.flatMap(({ notBefore, notAfter }, i) => {
    const which = certificates.length === 1 ? name : `${name}: certificate ${i + 1}`;
    const warn = (message: string): PolicyFinding[] => [
      { severity: "warning", message: `${which} ${message}` },
    ];
    if (now < notBefore) return warn(`is not valid before ${day(notBefore)}`);
    return now > notAfter ? warn(`expired on ${day(notAfter)}`) : [];
  });
}

/** Reports a clock that is behind the set-up's files. With it, certificates seem not yet valid, and verdicts do not expire. */
export function clockFindings(paths: readonly string[], now: number): readonly PolicyFinding[] {
  const changed = paths.map((path) => ({
    path,
    at: statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0,
  }));
  const late = changed.find(({ at }) => at > now + SKEW_MS);
  if (late === undefined) return [];
  const message = `the clock is at ${day(now)}, but ${late.path} was changed on ${day(late.at)}`;
  return [{ severity: "warning", message, hint: "set the clock: the time decides which certificates count" }];
}

/** The time in which all certificates of an authority are valid. */
function periodOf({ certificates, validity }: TrustedAuthority): {
  readonly start: number;
  readonly end: number;
} {
  return {
    start: Math.max(validity.start, ...certificates.map(({ notBefore }) => notBefore)),
    end: Math.min(validity.end, ...certificates.map(({ notAfter }) => notAfter)),
  };
}

/** "2026-11-26" */
function day(time: number): string {
  return new Date(time).toISOString().slice(0, 10);
}
