import { isTable, merge, type Table } from "../containerd/config.ts";
import { quote } from "../containerd/stream-processors.ts";
import { parseToml } from "../encoding/toml.ts";
import * as LIMITS from "../system-limits.ts";

/** @throws Error for invalid text */
type Parse = (text: string) => Table;

/**
 * Edits of an operator's TOML that keep its comments and layout. Each edit tries places where a key may be and returns the
 * first text that the parser proves right: its meaning is the old one with exactly the wanted change. undefined: no place
 * could be proven, because the key is written in an unusual form.
 */

/** Appends a path to `imports`. Imports come last, so that the new file overrides those before. */
export function addImport(text: string, path: string): string | undefined {
  const before = parseToml(text);
  const imports = importsOf(before);
  const wanted = { ...before, imports: [...imports, path] };
  const value = JSON.stringify(path);
  const candidates =
    before["imports"] === undefined
      ? topLevelPlaces(text).map((at) => insert(text, at, `imports = [${value}]\n`))
      : listEnds(text).flatMap((at) => [insert(text, at, value), insert(text, at, `, ${value}`)]);
  return firstProven(candidates, wanted, parseToml);
}

/** Removes a path from `imports`, and `imports` itself if it becomes empty. */
export function removeImport(text: string, path: string): string | undefined {
  const before = parseToml(text);
  const { imports: _, ...rest } = before;
  const imports = importsOf(before).filter((it) => it !== path);
  const candidates = [JSON.stringify(path), `'${path}'`].flatMap((value) =>
    occurrences(text, value).flatMap((at) => cuts(text, at, value.length)),
  );
  const withoutList = imports.length === 0 ? firstProven(candidates, rest, parseToml) : undefined;
  return withoutList ?? firstProven(candidates, { ...rest, imports }, parseToml);
}

interface TextSetting {
  /** Names of the tables above the text, and its own name. */
  readonly path: readonly string[];
  readonly value: string;
  /** TOML with tables to append, should the text's own table be missing. The first that fits is taken. */
  readonly blocks: readonly string[];
}

/** Sets a text in a table. @param parse how the text is read: as TOML, or as a template of it */
export function setText(
  text: string,
  { path, value, blocks }: TextSetting,
  parse: Parse,
): string | undefined {
  const before = parse(text);
  const wanted = merge(before, tableOf(path, value));
  const old = valueAt(before, path);
  const candidates =
    typeof old === "string"
      ? [quote(old), `'${old}'`].flatMap((it) => replacements(text, it, quote(value)))
      : [...text.matchAll(/^[ \t]*\[[^\n]*\n/gm)].map(({ index, 0: header }) =>
          insert(text, index + header.length, `  ${path.at(-1)} = ${quote(value)}\n`),
        );
  const edited = firstProven(candidates, wanted, parse);
  if (edited !== undefined || old !== undefined) return edited;
  const separator = text === "" || text.endsWith("\n") ? "\n" : "\n\n";
  for (const block of blocks) {
    const appended = firstProven([text + separator + block], merge(before, parseToml(block)), parse);
    if (appended !== undefined) return appended;
  }
  return undefined;
}

function tableOf(path: readonly string[], value: string): Table {
  return path.reduceRight<unknown>((inner, name) => ({ [name]: inner }), value) as Table;
}

function valueAt(table: Table, path: readonly string[]): unknown {
  return path.reduce<unknown>((at, name) => (isTable(at) ? at[name] : undefined), table);
}

function replacements(text: string, from: string, to: string): string[] {
  return occurrences(text, from).map((at) => text.slice(0, at) + to + text.slice(at + from.length));
}

/** Removes a table `[stream_processors."ID"]`. @param parse how the text is read: as TOML, or as a template of it */
export function removeProcessor(text: string, id: string, parse: Parse): string | undefined {
  const wanted = withoutProcessor(parse(text), id);
  return firstProven(withoutTables(text), wanted, (it) => withoutProcessor(parse(it), undefined));
}

/** One text for each span from a header of a stream processor to a later header or the end: the text without it. */
function* withoutTables(text: string): Generator<string> {
  const headers = [...text.matchAll(/^[ \t]*\[.*$/gm)];
  const ends = [...headers.map(({ index }) => index), text.length];
  const starts = headers.flatMap(({ 0: line }, i) => (line.includes("stream_processors") ? [i] : []));
  for (let tables = 1; tables < ends.length; tables++) {
    for (const start of starts) {
      const [from, to] = [ends[start], ends[start + tables]];
      if (to !== undefined) yield text.slice(0, from) + text.slice(to);
    }
  }
}

/** An empty `stream_processors` means the same as none. */
function withoutProcessor(table: Table, id: string | undefined): Table {
  const { stream_processors: all, ...rest } = table;
  const kept = Object.entries((all ?? {}) as Table).filter(([name]) => name !== id);
  return kept.length === 0 ? rest : { ...rest, stream_processors: Object.fromEntries(kept) };
}

function firstProven(candidates: Iterable<string>, wanted: Table, parse: Parse): string | undefined {
  let [tries, parsed] = [0, 0];
  for (const candidate of candidates) {
    parsed += candidate.length;
    if (tries++ >= LIMITS.tomlTries || parsed > LIMITS.tomlParsedChars) return undefined;
    try {
      if (hasSameMeaning(parse(candidate), wanted)) return candidate;
    } catch {
      // Cut in the middle of something.
    }
  }
  return undefined;
}

/** Whether two TOML values are equal. The order of keys does not matter. */
export function hasSameMeaning(one: unknown, other: unknown): boolean {
  if (typeof one !== "object" || typeof other !== "object" || one === null || other === null)
    return Object.is(one, other);
  if (one instanceof Date || other instanceof Date) return String(one) === String(other);
  if (Array.isArray(one) !== Array.isArray(other)) return false;
  const [entries, others] = [Object.entries(one), other as Table];
  return (
    entries.length === Object.keys(others).length &&
    entries.every(([key, value]) => Object.hasOwn(others, key) && hasSameMeaning(value, others[key]))
  );
}

function importsOf({ imports = [] }: Table): readonly unknown[] {
  return Array.isArray(imports) ? imports : [];
}

/** After the version, where a reader expects imports, or else before everything. */
function topLevelPlaces(text: string): number[] {
  const afterVersion = [...text.matchAll(/^[ \t]*["']?version["']?[ \t]*=[^\n]*\n/gm)];
  return [...afterVersion.map(({ index, 0: line }) => index + line.length), 0];
}

/** The closing brackets that may end the list of imports. */
function listEnds(text: string): number[] {
  return [...text.matchAll(/imports["']?[ \t]*=[ \t]*\[/g)].flatMap(({ index }) =>
    occurrences(text.slice(index), "]").map((at) => index + at),
  );
}

/** Without the value; without it and a comma on either side; without its line; without the whole key. */
function cuts(text: string, at: number, length: number): string[] {
  const [before, after] = [text.slice(0, at), text.slice(at + length)];
  const lineStart = before.lastIndexOf("\n") + 1;
  const lineEnd = after.indexOf("\n") < 0 ? after.length : after.indexOf("\n") + 1;
  return [
    before.slice(0, lineStart) + after.slice(lineEnd),
    before.replace(/,\s*$/, "") + after,
    before + after.replace(/^\s*,[ \t]*/, ""),
    before + after,
  ];
}

function occurrences(text: string, part: string): number[] {
  const found: number[] = [];
  for (
    let at = text.indexOf(part);
    at >= 0 && found.length < LIMITS.tomlTries;
    at = text.indexOf(part, at + 1)
  )
    found.push(at);
  return found;
}

function insert(text: string, at: number, part: string): string {
  return text.slice(0, at) + part + text.slice(at);
}
