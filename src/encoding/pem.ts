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

const BEGIN = /^-----BEGIN ([A-Z0-9 ]{1,64})-----[ \t]*\r?$/gm;

/** Reads up to `atMost` blocks in order. Text around them is ignored (RFC 7468 §2). */
export function parsePem(text: string, atMost: number): PemBlock[] {
  const blocks: PemBlock[] = [];
  BEGIN.lastIndex = 0;
  for (let begin = BEGIN.exec(text); begin !== null && blocks.length < atMost; begin = BEGIN.exec(text)) {
    const label = begin[1] ?? "";
    const end = text.indexOf(`-----END ${label}-----`, BEGIN.lastIndex);
    if (end < 0) break;
    blocks.push(parseBlock(label, text.slice(BEGIN.lastIndex, end)));
    BEGIN.lastIndex = end;
  }
  return blocks;
}

function parseBlock(label: string, inner: string): PemBlock {
  const headers = new Map<string, string>();
  const lines = inner.split("\n").map((line) => line.trim());
  const base64: string[] = [];
  for (const line of lines) {
    const colon = line.indexOf(":");
    if (colon > 0 && base64.length === 0) headers.set(line.slice(0, colon), line.slice(colon + 1).trim());
    else if (line !== "") base64.push(line);
  }
  return { label, headers, body: decodeBase64(base64.join("")) };
}
