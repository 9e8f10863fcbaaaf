/**
 * JSON that is read, changed in a few places and written again: numbers keep their digits, and the text its style, so
 * that undoing a change gives the first bytes (and digest) back.
 */
export type JsonValue =
  | null
  | boolean
  | number
  | string
  | readonly JsonValue[]
  | { readonly [name: string]: JsonValue };

/** How a document is laid out. */
export interface JsonStyle {
  /** Of one level: "" for everything on one line. */
  readonly indent: string;
  /** What follows the last brace: "" or a line break. */
  readonly tail: string;
  /** Go writes <, > and & as \u003c, \u003e and \u0026. */
  readonly escapesHtml: boolean;
}

export interface JsonDocument {
  readonly value: unknown;
  readonly style: JsonStyle;
}

export const COMPACT: JsonStyle = { indent: "", tail: "", escapesHtml: false };

/** The two parts of "JSON.parse source text access" (ECMAScript proposal, in every runtime supported here). */
const json: {
  parse(
    text: string,
    reviver: (name: string, value: unknown, context: { source?: string }) => unknown,
  ): unknown;
  rawJSON(text: string): unknown;
} = JSON as never;

/** @throws SyntaxError for what is not JSON, TypeError for what is not UTF-8 */
export function parseJson(bytes: Uint8Array): JsonDocument {
  const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  return { value: json.parse(text, keepDigits), style: styleOf(text) };
}

/** The bytes of a value in a style. Numbers that JavaScript would round are written as they were read. */
export function writeJson(value: unknown, style: JsonStyle = COMPACT): Uint8Array<ArrayBuffer> {
  const text = JSON.stringify(value, null, style.indent) + style.tail;
  return new Uint8Array(Buffer.from(style.escapesHtml ? text.replace(/[<>&]/g, unicodeEscape) : text));
}

function keepDigits(_name: string, value: unknown, context: { source?: string }): unknown {
  const { source } = context;
  return typeof value !== "number" || source === undefined || String(value) === source
    ? value
    : json.rawJSON(source);
}

function styleOf(text: string): JsonStyle {
  return {
    indent: /^\s*[{[]\r?\n([ \t]+)/.exec(text)?.[1] ?? "",
    tail: text.endsWith("\n") ? "\n" : "",
    escapesHtml: /\\u00(?:3c|3e|26)/i.test(text),
  };
}

function unicodeEscape(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}
