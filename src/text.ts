/**
 * Text that came from an image, a file name, a provider or the network. It may neither move a terminal's cursor, nor forge a
 * line, nor change the order in which a line is read.
 */

/**
 * Unicode's category C (controls, formats such as bidi overrides, surrogates without a partner, private use, unassigned), the
 * line and paragraph separators, and what renderers leave out: two names that differ only there look alike.
 */
const UNPRINTABLE = /[\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]+/gu;

/** The text on one line, each run of unprintable characters as one space, and at most `maxChars` UTF-16 units of it. */
export function printable(text: string, maxChars = Number.POSITIVE_INFINITY): string {
  const isCut = text.length > maxChars;
  // Cut before it is searched: the text may be megabytes. Half of a surrogate pair at the cut becomes a space.
  const shown = (isCut ? text.slice(0, maxChars) : text).replace(UNPRINTABLE, " ");
  return isCut ? `${shown}…` : shown;
}

/** JSON of a value with every unprintable character escaped: the reader of the JSON gets all of it, the terminal none. */
export function printableJson(value: unknown, indent?: number): string {
  return JSON.stringify(value, null, indent).replace(UNPRINTABLE, (run) =>
    run === "\n" ? run : Array.from({ length: run.length }, (_, i) => escaped(run, i)).join(""),
  );
}

/** RFC 8259 §7: characters above U+FFFF are escaped as a surrogate pair. */
function escaped(text: string, index: number): string {
  const unit = text.charCodeAt(index);
  return unit === LINE_FEED ? "\n" : `\\u${unit.toString(16).padStart(4, "0")}`;
}

/** JSON.stringify writes it between lines only. */
const LINE_FEED = 0x0a;
