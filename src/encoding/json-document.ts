/**
 * JSON documents that are read, changed in a few places and written back. Numbers keep their digits and the text keeps its
 * style, so undoing a change restores the original bytes and digest.
 */

/** A document's layout. */
export interface JsonStyle {
  /** Indentation of one level; "" puts everything on one line. */
  readonly indent: string;
  /** Text after the last brace: "" or a line break. */
  readonly tail: string;
  /** Go writes <, > and & as \u003c, \u003e and \u0026. */
  readonly escapesHtml: boolean;
}

interface JsonDocument {
  readonly value: unknown;
  readonly style: JsonStyle;
}

const COMPACT: JsonStyle = { indent: "", tail: "", escapesHtml: false };

/** ECMAScript's "JSON.parse source text access", which TypeScript does not declare yet. */
const json: {
  parse(
    text: string,
    reviver: (name: string, value: unknown, context: { source?: string }) => unknown,
  ): unknown;
  rawJSON(text: string): unknown;
} = JSON as never;

/** Parses a document. @throws SyntaxError for invalid JSON, TypeError for invalid UTF-8 */
export function parseJson(bytes: Uint8Array): JsonDocument {
  const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  return { value: json.parse(text, keepDigits), style: styleOf(text) };
}

/** Writes a value. Numbers that JavaScript would round are written as they were read. */
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
