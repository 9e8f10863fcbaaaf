const CONTEXT = 3;

/** The difference of two texts in the form of `diff -u`, as one hunk; "" if they are equal. */
export function lineDiff(path: string, before: string, after: string): string {
  if (before === after) return "";
  const [old, fresh] = [linesOf(before), linesOf(after)];
  const start = sharedStart(old, fresh);
  const end = sharedStart(old.slice(start).toReversed(), fresh.slice(start).toReversed());
  const from = Math.max(0, start - CONTEXT);
  const tail = Math.min(end, CONTEXT);
  const prefixed = (prefix: string, lines: readonly string[]) => lines.map((line) => prefix + line);
  return [
    `--- ${path}`,
    `+++ ${path}`,
    `@@ -${range(from, old.length - end + tail)} +${range(from, fresh.length - end + tail)} @@`,
    ...prefixed(" ", old.slice(from, start)),
    ...prefixed("-", old.slice(start, old.length - end)),
    ...prefixed("+", fresh.slice(start, fresh.length - end)),
    ...prefixed(" ", old.slice(old.length - end, old.length - end + tail)),
    "",
  ].join("\n");
}

/** How many lines are the same from the first one on. */
function sharedStart(one: readonly string[], other: readonly string[]): number {
  const different = one.findIndex((line, i) => line !== other[i]);
  return different < 0 ? one.length : different;
}

function range(from: number, to: number): string {
  return `${to > from ? from + 1 : from},${to - from}`;
}

function linesOf(text: string): string[] {
  const lines = text.split("\n");
  return lines.at(-1) === "" ? lines.slice(0, -1) : lines;
}
