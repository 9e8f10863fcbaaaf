import { DecoderError, errnoOf } from "../errors.ts";
import * as LIMITS from "../system-limits.ts";
import type { Agents } from "./agent.ts";
import type { Connection } from "./connection.ts";
import { connectionError, isCertificateError, isCutOff, timedOut, tooSlow } from "./connection-error.ts";
import { readBody } from "./http-body.ts";
import { type ResponseHead, readHead } from "./http-head.ts";
import { type HttpRequest, Outgoing } from "./http-request.ts";

export interface HttpResponse {
  readonly status: number;
  /** The address that answered. */
  readonly url: URL;
  header(name: string): string | undefined;
  /** Can be read once. It throws when it ends early, or when no byte comes for a while. */
  readonly body: AsyncGenerator<Uint8Array>;
  /** Reads a small body whole, as far as `most` bytes. */
  read(most: number): Promise<Uint8Array>;
  /** Discards the body. */
  discard(): Promise<void>;
}

/** Larger chunks, which Bun hands out, fall out of the processor's cache between the hash, the cipher and the HMAC. */
const CHUNK_BYTES = 128 * 1024;

/**
 * Sends one request (HTTP/1.1, RFC 9112). It follows no redirect, and adds only Host and the headers of the body. A GET or
 * HEAD is sent again if the server has just closed a kept connection.
 * @throws DecoderError REGISTRY if no answer comes; INTERRUPTED, or the signal's reason, if it is aborted; any error of the
 * body's source
 */
export async function exchange(request: HttpRequest, agents: Agents): Promise<HttpResponse> {
  const { url, signal } = request;
  throwIfAborted(signal);
  const outgoing = new Outgoing(request);
  let connection: Connection | undefined;
  let isAborted = false;
  const stop = () => {
    isAborted = true;
    connection?.destroy();
  };
  signal?.addEventListener("abort", stop, { once: true });
  const settle = () => signal?.removeEventListener("abort", stop);
  try {
    connection = await agents.take(url, signal);
    if (isAborted) connection.destroy();
    const head = await answerTo(request, outgoing, connection);
    return new Answer(request, head, {
      connection,
      end: (isReusable) => {
        settle();
        if (connection === undefined) return;
        if (isReusable && outgoing.isSent) agents.keep(url, connection);
        else agents.end(connection);
      },
    });
  } catch (error) {
    if (connection !== undefined) agents.end(connection);
    settle();
    throwIfAborted(signal);
    // The source of the body failed, not the connection.
    if (outgoing.fault !== undefined) throw outgoing.fault.error;
    if (connection?.wasKept && isCutOff(error)) {
      agents.keepNone(url);
      if (request.method === "GET" || request.method === "HEAD") return await exchange(request, agents);
    }
    const certificate = isCertificateError(error) ? await agents.certificateOf(url) : undefined;
    throw connectionError(error, url, certificate);
  }
}

async function answerTo(
  { method, url, answerMs = LIMITS.registryAnswerMs }: HttpRequest,
  outgoing: Outgoing,
  connection: Connection,
): Promise<ResponseHead> {
  const answer = readHead(connection, method);
  answer.then(
    () => outgoing.answered(),
    () => undefined,
  );
  const sending = outgoing.send(connection);
  sending.catch(() => undefined);
  await Promise.race([sending, answer]);
  const timer = setTimeout(() => connection.destroy(timedOut()), answerMs);
  try {
    const head = await answer;
    // The source may fail after its last byte, when a layer is not authentic. The server may have accepted all bytes by then.
    if (head.status < 300) await sending;
    if (head.status < 300 && !outgoing.isMade)
      throw new DecoderError("REGISTRY", `${url.host} accepted a body before it was all sent`);
    return head;
  } finally {
    clearTimeout(timer);
  }
}

/** The connection that an answer is read from. */
interface Origin {
  readonly connection: Connection;
  /** Called once. @param isReusable whether all of the answer was read, and the server keeps the connection */
  end(isReusable: boolean): void;
}

class Answer implements HttpResponse {
  readonly status: number;
  readonly url: URL;
  readonly body: AsyncGenerator<Uint8Array>;
  readonly #head: ResponseHead;
  readonly #connection: Connection;

  constructor(request: HttpRequest, head: ResponseHead, origin: Origin) {
    this.status = head.status;
    this.url = request.url;
    this.#head = head;
    this.#connection = origin.connection;
    const { framing, keepsConnection } = head;
    const isEmpty = framing.kind === "length" && framing.length === 0;
    // Callers do not read an empty body.
    if (isEmpty) origin.end(keepsConnection);
    this.body = isEmpty ? nothing() : bodyOf(request, head, origin);
  }

  header(name: string): string | undefined {
    return this.#head.headers.get(name.toLowerCase());
  }

  async read(most: number): Promise<Uint8Array> {
    // A server that sends a byte each minute is never idle.
    const timer = setTimeout(() => this.#connection.destroy(tooSlow()), LIMITS.registryDocumentMs);
    const chunks: Uint8Array[] = [];
    let size = 0;
    try {
      for await (const chunk of this.body) {
        chunks.push(chunk.subarray(0, most - size));
        size += chunk.length;
        if (chunks.length >= LIMITS.heldChunks) chunks.splice(0, chunks.length, Buffer.concat(chunks));
        if (size >= most) break;
      }
    } finally {
      clearTimeout(timer);
    }
    return Buffer.concat(chunks);
  }

  async discard(): Promise<void> {
    const timer = setTimeout(() => this.#connection.destroy(), LIMITS.drainMs);
    let size = 0;
    try {
      for await (const chunk of this.body) {
        size += chunk.length;
        if (size > LIMITS.drainedBytes) break;
      }
    } catch {
      // Only the connection is lost.
    } finally {
      clearTimeout(timer);
    }
  }
}

/** An answer whose body has been read, as far as `most` bytes. @throws what reading it throws */
export async function readAhead(response: HttpResponse, most: number): Promise<HttpResponse> {
  const bytes = await response.read(most);
  return {
    status: response.status,
    url: response.url,
    header: (name) => response.header(name),
    body: only(bytes),
    read: async (size) => bytes.subarray(0, size),
    discard: async () => undefined,
  };
}

async function* only(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

async function* nothing(): AsyncGenerator<Uint8Array> {}

async function* bodyOf(
  { url, signal }: HttpRequest,
  { framing, keepsConnection }: ResponseHead,
  { connection, end }: Origin,
): AsyncGenerator<Uint8Array> {
  const chunks = readBody(connection, framing);
  let isComplete = false;
  let [bytes, waitedMs] = [0, 0];
  try {
    for (;;) {
      // The time that the caller takes between two chunks does not count.
      const start = performance.now();
      const idle = setTimeout(() => connection.destroy(timedOut()), LIMITS.registryIdleMs);
      const { done, value: chunk } = await chunks.next().finally(() => clearTimeout(idle));
      if (done) break;
      bytes += chunk.length;
      waitedMs += performance.now() - start;
      if (bytes >= LIMITS.progressBytes) [bytes, waitedMs] = [0, 0];
      else if (waitedMs > LIMITS.registryDocumentMs) throw tooSlow();
      for (let at = 0; at < chunk.length; at += CHUNK_BYTES) yield chunk.subarray(at, at + CHUNK_BYTES);
    }
    isComplete = true;
  } catch (error) {
    throwIfAborted(signal);
    throw errnoOf(error) === undefined ? error : connectionError(error, url);
  } finally {
    end(isComplete && keepsConnection);
  }
}

function throwIfAborted(signal: AbortSignal | undefined): void {
  if (!signal?.aborted) return;
  throw signal.reason instanceof DecoderError
    ? signal.reason
    : new DecoderError("INTERRUPTED", "interrupted");
}
