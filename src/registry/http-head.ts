import * as LIMITS from "../system-limits.ts";
import type { Connection } from "./connection.ts";
import { notHttp } from "./connection-error.ts";

/** Headers with one value. If a proxy repeats one, the first counts, as in Node.js. */
const SINGLE: ReadonlySet<string> = new Set([
  ...["content-type", "content-range", "docker-content-digest", "location", "retry-after"],
]);

/** How an answer's body ends (RFC 9112 §6.3). */
export type Framing =
  | { readonly kind: "length"; readonly length: number }
  | { readonly kind: "chunked" }
  | { readonly kind: "close" };

/** What precedes the body of an answer. */
export interface ResponseHead {
  readonly status: number;
  /** Lower-case name → value. Repeated headers are joined by ", " (RFC 9110 §5.3). */
  readonly headers: ReadonlyMap<string, string>;
  readonly framing: Framing;
  /** Whether the server keeps the connection afterwards. */
  readonly keepsConnection: boolean;
}

/** Reads the head of the answer to a request. @throws Error of the system; EBADMSG if the answer is not HTTP */
export async function readHead(connection: Connection, method: string): Promise<ResponseHead> {
  for (let interim = 0; interim <= LIMITS.interimAnswers; interim += 1) {
    const text = await connection.readUntil("\r\n\r\n", LIMITS.httpHeadBytes);
    if (text === undefined) break;
    const head = parseHead(text, method);
    if (head.status >= 200) return head;
    if (head.status === 101) break;
  }
  throw notHttp();
}

/** @param text without the empty line at its end. @throws Error EBADMSG if it is not HTTP/1 (RFC 9112 §4, §5) */
function parseHead(text: string, method: string): ResponseHead {
  const [statusLine = "", ...lines] = text.split("\r\n");
  const [, minor, statusText] = /^HTTP\/1\.([01]) ([1-5]\d\d)(?: [^\r\n]*)?$/.exec(statusLine) ?? [];
  if (minor === undefined || statusText === undefined) throw notHttp();
  const status = Number(statusText);
  const headers = new Map<string, string>();
  for (const line of lines) {
    const [, given = "", rest = ""] = /^([\w!#$%&'*+.^`|~-]+):([^\r\n\0]*)$/.exec(line) ?? [];
    if (given === "") throw notHttp();
    const name = given.toLowerCase();
    const known = headers.get(name);
    // RFC 9110 §5.5: a value excludes the spaces and tabs around it, and no other characters.
    const value = rest.replace(/^[\t ]+|[\t ]+$/g, "");
    if (known === undefined) headers.set(name, value);
    else if (!SINGLE.has(name)) headers.set(name, `${known}, ${value}`);
  }
  const options = (headers.get("connection") ?? "").toLowerCase().split(/ *, */);
  const isKept = minor === "1" ? !options.includes("close") : options.includes("keep-alive");
  const framing = framingOf(method, status, headers);
  return { status, headers, framing, keepsConnection: isKept && framing.kind !== "close" };
}

function framingOf(method: string, status: number, headers: ReadonlyMap<string, string>): Framing {
  if (method === "HEAD" || status < 200 || status === 204 || status === 304)
    return { kind: "length", length: 0 };
  const encoding = headers.get("transfer-encoding");
  const length = headers.get("content-length");
  if (encoding !== undefined) {
    // RFC 9112 §6.3: a proxy that reads the other header would find another end of the body.
    if (encoding.toLowerCase() !== "chunked" || length !== undefined) throw notHttp();
    return { kind: "chunked" };
  }
  if (length === undefined) return { kind: "close" };
  const [first = "", ...others] = length.split(/ *, */);
  if (!/^\d{1,15}$/.test(first) || others.some((other) => other !== first)) throw notHttp();
  return { kind: "length", length: Number(first) };
}
