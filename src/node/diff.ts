const CONTEXT = 3;

/** The difference of two texts in the form of `diff -u`, as one hunk; "" if they are equal. */
export function lineDiff(path: string, before: string, after: string): string {
  if (before === after) return "";
  const [old, fresh] = [linesOf(before), linesOf(after)];
  let start = 0;
  while (start < old.length && old[start] === fresh[start]) start += 1;
  let end = 0;
  while (end < old.length - start && end < fresh.length - start && old.at(-1 - end) === fresh.at(-1 - end))
    end += 1;
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

function range(from: number, to: number): string {
  return `${to > from ? from + 1 : from},${to - from}`;
}

function linesOf(text: string): string[] {
  const lines = text.split("\n");
  return lines.at(-1) === "" ? lines.slice(0, -1) : lines;
}
