/** Headers about positions and pages. */

/** RFC 9110 §14.4: the first byte that a partial answer begins with, or undefined when it does not say. */
export function contentRangeStart(header: string | undefined): number | undefined {
  const match = /^bytes (\d{1,16})-(\d{1,16})\/(?:\d{1,16}|\*)$/.exec(header?.trim() ?? "");
  const [start, end] = [Number(match?.[1]), Number(match?.[2])];
  return match !== null && Number.isSafeInteger(start) && start <= end ? start : undefined;
}

/** A length that a header states, or undefined when it states none. */
export function contentLength(header: string | undefined): number | undefined {
  const length = /^\d{1,16}$/.test(header ?? "") ? Number(header) : Number.NaN;
  return Number.isSafeInteger(length) ? length : undefined;
}

/**
 * RFC 8288: the target of `rel="next"`, resolved, or undefined on the last page. Another origin's is not
 * followed: it would be asked with our credentials or without them, and neither is meant.
 */
export function nextPage(header: string | undefined, page: URL): URL | undefined {
  for (const [, target = "", attributes = ""] of (header ?? "").matchAll(/<([^<>]*)>([^,<]*)/g)) {
    if (!/;\s*rel\s*=\s*"?next"?\s*(?:;|$)/i.test(attributes)) continue;
    const next = URL.parse(target, page);
    return next?.origin === page.origin ? next : undefined;
  }
  return undefined;
}
