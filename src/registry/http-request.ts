import { DecoderError } from "../errors.ts";
import type { Connection } from "./connection.ts";

export type Method = "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE";

/** Bytes, or a stream that can be sent only once. */
export type RequestBody = { readonly bytes: Uint8Array } | StreamedBody;

export interface StreamedBody {
  readonly chunks: AsyncIterable<Uint8Array>;
  /** In bytes; without it the body goes out in chunks (RFC 9112 §7.1). */
  readonly size?: number | undefined;
  /** Called with each chunk once it is sent and its memory can be reused. */
  readonly onSent?: ((chunk: Uint8Array) => void) | undefined;
}

export interface HttpRequest {
  readonly method: Method;
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: RequestBody;
  /** How long the first byte of the answer may take once the request is sent. */
  readonly answerMs?: number;
  readonly signal?: AbortSignal;
}

/** RFC 9110 §5.1, §5.5. Without these checks, a line break in a token could add headers to a request. */
const HEADER_NAME = /^[\w!#$%&'*+.^`|~-]+$/;
const HEADER_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

/** A request that is being sent. Its answer may come before its end. */
export class Outgoing {
  readonly #request: HttpRequest;
  readonly #head: Uint8Array;
  #isAnswered = false;
  /** Whether the whole body was made. The server may answer and disconnect before its last write is reported. */
  isMade = false;
  /** Whether the server has all of the request, so that the connection may carry another one. */
  isSent = false;
  /** Set when the source of the body failed. */
  fault: { readonly error: unknown } | undefined;

  /** @throws DecoderError REGISTRY for a header that can't be sent */
  constructor(request: HttpRequest) {
    this.#request = request;
    this.#head = latin1(headOf(request));
  }

  /** Stops sending: after its answer, the server does not read the rest of the body. */
  answered(): void {
    this.#isAnswered = true;
  }

  /** Sends as fast as the server receives, until all is sent or an answer comes. @throws what the body throws */
  async send(connection: Connection): Promise<void> {
    const { body } = this.#request;
    if (body !== undefined && "chunks" in body) return await this.#stream(connection, body);
    this.isMade = true;
    this.isSent = await connection.write(
      body === undefined ? this.#head : Buffer.concat([this.#head, body.bytes]),
    );
  }

  async #stream(connection: Connection, body: StreamedBody): Promise<void> {
    await connection.write(this.#head);
    const isChunked = body.size === undefined;
    let size = 0;
    try {
      for await (const chunk of body.chunks) {
        const { length } = chunk;
        if (length === 0) continue;
        if (this.#isAnswered) return;
        size += length;
        if (body.size !== undefined && size > body.size) break;
        const border = size === length ? "" : "\r\n";
        if (isChunked) await connection.write(latin1(`${border}${length.toString(16)}\r\n`));
        this.isMade = size === body.size;
        if (!(await connection.write(chunk))) return;
        body.onSent?.(chunk);
      }
      if (body.size !== undefined && size !== body.size) {
        throw new DecoderError(
          "SIZE_MISMATCH",
          `the body has ${size} bytes, not the ${body.size} that were announced`,
        );
      }
    } catch (error) {
      this.fault = { error };
      throw error;
    }
    this.isMade = true;
    this.isSent = !isChunked || (await connection.write(latin1(`${size === 0 ? "" : "\r\n"}0\r\n\r\n`)));
  }
}

function latin1(text: string): Uint8Array {
  return Buffer.from(text, "latin1");
}

function headOf({ method, url, headers, body }: HttpRequest): string {
  const all = { Host: url.host, ...headers, ...bodyHeaders(method, body) };
  const lines = Object.entries(all).map(([name, value]) => {
    if (HEADER_NAME.test(name) && HEADER_VALUE.test(value)) return `${name}: ${value}\r\n`;
    throw new DecoderError(
      "REGISTRY",
      `the header ${name} for ${url.host} has characters that are not allowed`,
    );
  });
  return `${method} ${url.pathname}${url.search} HTTP/1.1\r\n${lines.join("")}\r\n`;
}

function bodyHeaders(method: string, body: RequestBody | undefined): Record<string, string> {
  if (body === undefined)
    return method === "GET" || method === "HEAD" || method === "DELETE" ? {} : { "Content-Length": "0" };
  const size = "bytes" in body ? body.bytes.length : body.size;
  return size === undefined ? { "Transfer-Encoding": "chunked" } : { "Content-Length": String(size) };
}
