import { decodeBase64 } from "./base64.ts";
import type { Bytes } from "./bytes.ts";

/** A block of RFC 7468, or of the older form with RFC 1421 headers, which OpenSSL's encrypted keys use. */
export interface PemBlock {
  /** The type of content: "RSA PRIVATE KEY". */
  readonly label: string;
  readonly headers: ReadonlyMap<string, string>;
  /** Null when the text between the lines is not valid base64. */
  readonly body: Bytes | null;
}

const BEGIN = "-----BEGIN ";
const DASHES = "-----";
const LABEL_CHARS = 64;

/** Reads up to `atMost` blocks in order. Text around them is ignored (RFC 7468 §2). */
export function parsePem(text: string, atMost: number): PemBlock[] {
  const blocks: PemBlock[] = [];
  let at = text.indexOf(BEGIN);
  while (at >= 0 && blocks.length < atMost) {
    const label = labelAt(text, at);
    let next = at + BEGIN.length;
    if (label !== null) {
      const inner = next + label.length + DASHES.length;
      const end = text.indexOf(`-----END ${label}-----`, inner);
      if (end === -1) break;
      blocks.push(parseBlock(label, text.slice(inner, end)));
      next = end;
    }
    at = text.indexOf(BEGIN, next);
  }
  return blocks;
}

/** The label of a block that begins at `begin`; null if the line contains anything else. */
function labelAt(text: string, begin: number): string | null {
  if (begin > 0 && !isLineEnd(text[begin - 1])) return null;
  const start = begin + BEGIN.length;
  const end = text.indexOf(DASHES, start);
  if (end <= start || end - start > LABEL_CHARS) return null;
  for (let at = start; at < end; at++) if (!isLabelCharacter(text.charAt(at))) return null;
  let after = end + DASHES.length;
  while (text[after] === " " || text[after] === "\t") after++;
  return after === text.length || isLineEnd(text[after]) ? text.slice(start, end) : null;
}

function isLineEnd(character: string | undefined): boolean {
  return character === "\n" || character === "\r";
}

/** A digit, a capital letter or a space. Messages show labels, so other characters are not accepted. */
function isLabelCharacter(it: string): boolean {
  return (it >= "0" && it <= "9") || (it >= "A" && it <= "Z") || it === " ";
}

function parseBlock(label: string, inner: string): PemBlock {
  const headers = new Map<string, string>();
  let base64 = "";
  for (let start = 0, end = 0; end >= 0; start = end + 1) {
    end = inner.indexOf("\n", start);
    const line = inner.slice(start, end < 0 ? undefined : end).trim();
    const colon = line.indexOf(":");
    if (colon > 0 && base64 === "") headers.set(line.slice(0, colon), line.slice(colon + 1).trim());
    else base64 += line;
  }
  return { label, headers, body: decodeBase64(base64) };
}
