import type { ClientRequest, IncomingMessage, RequestOptions } from "node:http";
import { DecoderError, errnoOf } from "../errors.ts";
import * as LIMITS from "../limits.ts";
import type { Agents } from "./agent.ts";
import { connectionError, cutOff, isCertificateError, timedOut } from "./connection-error.ts";
import { hostAndPort } from "./origin.ts";

export type Method = "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE";

/** All bytes at once, or a stream, which can be sent once only. */
export type RequestBody =
  | { readonly bytes: Uint8Array }
  /** `size` in bytes; without it the body goes out in chunks (RFC 9112 §7.1). */
  | { readonly chunks: AsyncIterable<Uint8Array>; readonly size?: number };

export interface HttpRequest {
  readonly method: Method;
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: RequestBody;
  /** How long the first byte of the answer may take once the request is sent. */
  readonly answerMs?: number;
  readonly signal?: AbortSignal;
}

export interface HttpResponse {
  readonly status: number;
  /** The address that answered. */
  readonly url: URL;
  header(name: string): string | undefined;
  /** Can be read once. It throws when it ends early, or when no byte comes for a while. */
  readonly body: AsyncGenerator<Uint8Array>;
  /** Reads a small body whole, as far as `most` bytes. */
  read(most: number): Promise<Uint8Array>;
  /** Lets go of the body. */
  discard(): Promise<void>;
}

/** Larger chunks, which Bun hands out, fall out of the processor's cache between the hash, the cipher and the HMAC. */
const CHUNK_BYTES = 128 * 1024;
/** A short rest is read, so that the connection can be used again. */
const DRAINED_BYTES = 64 * 1024;
const DRAIN_MS = 1000;

/**
 * Sends one request. No redirect is followed, nothing is tried again, no header is added but Host and the body's own.
 * @throws DecoderError REGISTRY without an answer, INTERRUPTED or the signal's reason; what the body throws
 */
export async function exchange(request: HttpRequest, agents: Agents): Promise<HttpResponse> {
  const { url, signal } = request;
  throwIfAborted(signal);
  const outgoing = await open(request, agents);
  const stop = () => outgoing.destroy(new Error("aborted"));
  signal?.addEventListener("abort", stop, { once: true });
  const settle = () => signal?.removeEventListener("abort", stop);
  const answer = answerOf(outgoing);
  let fault: { readonly error: unknown } | undefined;
  const sending = send(outgoing, request.body).catch((error) => {
    fault = { error };
    throw error;
  });
  try {
    await Promise.race([sending, answer]);
    const incoming = await within(request.answerMs ?? LIMITS.registryAnswerMs, outgoing, answer);
    // A body's end is its maker's verdict. All bytes may be out, and accepted, before the maker takes the last of them back.
    if (isSuccess(incoming)) await sending;
    return responseOf(incoming, request, settle);
  } catch (error) {
    outgoing.destroy();
    settle();
    throwIfAborted(signal);
    // The body could not be made: that is not the connection's fault.
    if (fault !== undefined) throw fault.error;
    const certificate = isCertificateError(error) ? await agents.certificateOf(url) : undefined;
    throw connectionError(error, url, certificate);
  }
}

async function open({ method, url, headers, body }: HttpRequest, agents: Agents): Promise<ClientRequest> {
  const agent = await agents.for(url);
  const { request } = url.protocol === "https:" ? await import("node:https") : await import("node:http");
  const { host, port } = hostAndPort(url);
  const options: RequestOptions = {
    method,
    host,
    port,
    path: url.pathname + url.search,
    headers: { ...headers, Host: url.host, ...bodyHeaders(method, body) },
    agent,
  };
  return request(options);
}

function bodyHeaders(method: Method, body: RequestBody | undefined): Record<string, string> {
  if (body === undefined)
    return method === "GET" || method === "HEAD" || method === "DELETE" ? {} : { "Content-Length": "0" };
  const size = "bytes" in body ? body.bytes.length : body.size;
  return size === undefined ? { "Transfer-Encoding": "chunked" } : { "Content-Length": String(size) };
}

function answerOf(outgoing: ClientRequest): Promise<IncomingMessage> {
  const answer = Promise.withResolvers<IncomingMessage>();
  answer.promise.catch(() => undefined);
  outgoing.once("response", answer.resolve);
  // It stays for the errors that come after the answer: those are seen at the body.
  outgoing.on("error", answer.reject);
  outgoing.once("close", () => answer.reject(cutOff()));
  return answer.promise;
}

/** Writes the body as fast as the other side takes it, until it is all sent or an answer comes. */
async function send(outgoing: ClientRequest, body: RequestBody | undefined): Promise<void> {
  if (body === undefined || "bytes" in body) {
    outgoing.end(body?.bytes);
    return;
  }
  const drain = new Drain(outgoing);
  let size = 0;
  for await (const chunk of body.chunks) {
    size += chunk.length;
    if (drain.isOver) return drain.checkRefused();
    if (!outgoing.write(chunk)) await drain.wait();
  }
  if (body.size !== undefined && size !== body.size) {
    throw new DecoderError(
      "SIZE_MISMATCH",
      `${size} bytes came to be sent, not the ${body.size} that were announced`,
    );
  }
  outgoing.end();
}

/** Waits for room in a request's buffer, with one listener for all waits: one for each costs more than the writing. */
class Drain {
  readonly #outgoing: ClientRequest;
  #waiting: PromiseWithResolvers<void> | undefined;
  /** Whether the server has answered or disconnected, so that the rest of the body goes unread. */
  isOver = false;
  #answer: IncomingMessage | undefined;

  constructor(outgoing: ClientRequest) {
    this.#outgoing = outgoing;
    outgoing.on("drain", () => this.#waiting?.resolve());
    const end = () => {
      this.isOver = true;
      this.#waiting?.resolve();
    };
    outgoing.once("response", (answer: IncomingMessage) => {
      this.#answer = answer;
    });
    for (const event of ["response", "error", "close"]) outgoing.once(event, end);
  }

  /** @throws DecoderError REGISTRY when the server accepted what it has not read */
  checkRefused(): void {
    if (this.#answer === undefined || !isSuccess(this.#answer)) return;
    throw new DecoderError("REGISTRY", `${this.#outgoing.host} accepted a body before it was all sent`);
  }

  async wait(): Promise<void> {
    if (this.isOver) return;
    this.#waiting = Promise.withResolvers();
    const timer = setTimeout(() => this.#outgoing.destroy(timedOut()), LIMITS.registryIdleMs);
    await this.#waiting.promise;
    clearTimeout(timer);
    this.#waiting = undefined;
  }
}

function isSuccess({ statusCode = 0 }: IncomingMessage): boolean {
  return statusCode >= 200 && statusCode < 300;
}

async function within<T>(milliseconds: number, outgoing: ClientRequest, work: Promise<T>): Promise<T> {
  const timer = setTimeout(() => outgoing.destroy(timedOut()), milliseconds);
  try {
    return await work;
  } finally {
    clearTimeout(timer);
  }
}

function responseOf(incoming: IncomingMessage, request: HttpRequest, settle: () => void): HttpResponse {
  const body = bodyOf(incoming, request, settle);
  // An unread body is paused, and must not end the process when its connection breaks.
  incoming.on("error", () => undefined);
  if (request.method === "HEAD") incoming.resume();
  return {
    status: incoming.statusCode ?? 0,
    url: request.url,
    header(name) {
      const value = incoming.headers[name.toLowerCase()];
      return Array.isArray(value) ? value.join(", ") : value;
    },
    body,
    async read(most) {
      // A byte a minute would never be idle.
      const timer = setTimeout(() => incoming.destroy(timedOut()), LIMITS.registryDocumentMs);
      const chunks: Uint8Array[] = [];
      let size = 0;
      try {
        for await (const chunk of body) {
          chunks.push(chunk.subarray(0, most - size));
          size += chunk.length;
          if (size >= most) break;
        }
      } finally {
        clearTimeout(timer);
      }
      return Buffer.concat(chunks);
    },
    async discard() {
      const timer = setTimeout(() => incoming.destroy(), DRAIN_MS);
      let size = 0;
      try {
        for await (const chunk of body) {
          size += chunk.length;
          if (size > DRAINED_BYTES) break;
        }
      } catch {
        // Only the connection is lost.
      } finally {
        clearTimeout(timer);
      }
    },
  };
}

async function* bodyOf(
  incoming: IncomingMessage,
  { url, signal, method }: HttpRequest,
  settle: () => void,
): AsyncGenerator<Uint8Array> {
  if (method === "HEAD") return settle();
  const chunks = (incoming as AsyncIterable<Buffer>)[Symbol.asyncIterator]();
  try {
    for (;;) {
      // Only while a chunk is waited for: who reads may take its time.
      const idle = setTimeout(() => incoming.destroy(timedOut()), LIMITS.registryIdleMs);
      const { done, value: chunk } = await chunks.next().finally(() => clearTimeout(idle));
      if (done) break;
      for (let at = 0; at < chunk.length; at += CHUNK_BYTES) yield chunk.subarray(at, at + CHUNK_BYTES);
    }
    // Bun ends a body that was cut off like a complete one.
    if (!incoming.complete) throw cutOff();
  } catch (error) {
    throwIfAborted(signal);
    throw errnoOf(error) === undefined ? error : connectionError(error, url);
  } finally {
    incoming.destroy();
    settle();
  }
}

function throwIfAborted(signal: AbortSignal | undefined): void {
  if (!signal?.aborted) return;
  throw signal.reason instanceof DecoderError
    ? signal.reason
    : new DecoderError("INTERRUPTED", "interrupted");
}
