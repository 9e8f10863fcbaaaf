import { formatBytes } from "../encoding/units.ts";
import { DecoderError } from "../errors.ts";
import * as LIMITS from "../system-limits.ts";
import type { RegistryClient } from "./client.ts";
import { isPassing } from "./connection-error.ts";
import { Deadline } from "./deadline.ts";
import type { HttpResponse } from "./http.ts";
import type { StreamedBody } from "./http-request.ts";
import { backoff, PASSING, pause, withCount } from "./retry.ts";

const OCTETS = { "Content-Type": "application/octet-stream" };

/**
 * One upload of one blob: POST, one streamed PATCH, and a PUT with the digest, the form that every registry takes. Until
 * the PUT there is no blob.
 */
export class Upload {
  readonly #client: RegistryClient;
  readonly #name: string;
  #location: URL;
  #sent = 0;
  /** Whether the other side broke off, so that a new upload may do better. */
  isBroken = false;

  private constructor(client: RegistryClient, name: string, location: URL) {
    this.#client = client;
    this.#name = name;
    this.#location = location;
  }

  /** @param name for messages: "layer 2". @throws DecoderError UNAUTHORIZED, REGISTRY */
  static async begin(client: RegistryClient, name: string): Promise<Upload> {
    const attempted = await client.send({
      method: "POST",
      to: client.path("blobs/uploads/"),
      scopes: client.scopes,
    });
    if (attempted.response.status !== 202)
      throw await client.refusal(attempted, { what: name, action: "push" });
    return await Upload.#of(client, name, attempted.response);
  }

  /** An upload that another client of the same repository began. @param location its address */
  static begun(client: RegistryClient, name: string, location: string): Upload {
    return new Upload(client, name, new URL(location));
  }

  /**
   * Asks for a blob of another repository of the same registry. Only an interruption is an error: without the mount, the
   * blob is sent.
   * @returns "mounted"; an upload that the registry began instead, which may take any blob; undefined if it did neither
   */
  static async mount(
    client: RegistryClient,
    digest: string,
    from: string,
  ): Promise<"mounted" | Upload | undefined> {
    const query = `mount=${encodeURIComponent(digest)}&from=${encodeURIComponent(from)}`;
    try {
      const response = await client.session.sendOnce({
        method: "POST",
        to: client.path(`blobs/uploads/?${query}`),
        scopes: client.scopes,
      });
      if (response.status === 202) return await Upload.#of(client, digest, response);
      await response.discard();
      return response.status === 201 ? "mounted" : undefined;
    } catch (error) {
      if (!(error instanceof DecoderError) || error.code === "INTERRUPTED") throw error;
      return undefined;
    }
  }

  static async #of(client: RegistryClient, name: string, response: HttpResponse): Promise<Upload> {
    const location = locationOf(client, response);
    await response.discard();
    if (location !== undefined) return new Upload(client, name, location);
    throw new DecoderError("REGISTRY", `${client.target} began an upload without saying where`);
  }

  /** Address of the next request. It may contain a secret. */
  get location(): string {
    return this.#location.href;
  }

  /** Bytes that went out. */
  get sent(): number {
    return this.#sent;
  }

  /** Sends all bytes. @throws DecoderError REGISTRY, UNAUTHORIZED; what the chunks throw */
  async send({ chunks, size, onSent }: StreamedBody): Promise<void> {
    let isSourceAtFault = false;
    let isComplete = false;
    const counted = async function* (this: Upload): AsyncGenerator<Uint8Array> {
      try {
        for await (const chunk of chunks) {
          const { length } = chunk;
          yield chunk;
          this.#sent += length;
        }
        isComplete = true;
      } catch (error) {
        isSourceAtFault = true;
        throw error;
      }
    };
    let response: HttpResponse;
    try {
      response = await this.#client.session.sendOnce({
        method: "PATCH",
        to: this.#location,
        headers: OCTETS,
        body: { chunks: counted.call(this), size, onSent },
        scopes: this.#client.scopes,
      });
    } catch (error) {
      this.isBroken = !isSourceAtFault && isPassing(error);
      throw this.isBroken ? this.#broken(error) : error;
    }
    // ECR answers 201 and others 204.
    if ([201, 202, 204].includes(response.status)) {
      if (!isComplete) throw new Error("bug: an upload was accepted before its last byte was made");
      this.#location = locationOf(this.#client, response) ?? this.#location;
      return await response.discard();
    }
    // What was sent can't be sent again. A new upload shows whether it was a token that ran out, or a refusal.
    this.isBroken = response.status === 401 || response.status === 404 || PASSING.has(response.status);
    throw await this.#client.refusal({ response, attempts: 1 }, { what: this.#name, action: "push" });
  }

  /** Makes a blob of what was sent. @throws DecoderError REGISTRY when the registry has other bytes, UNAUTHORIZED */
  async commit(digest: string): Promise<void> {
    const to = new URL(this.#location);
    // The address's own query is the server's: not one character of it may change.
    to.search = `${to.search === "" ? "?" : `${to.search}&`}digest=${encodeURIComponent(digest)}`;
    const attempted = await this.#client.send({
      method: "PUT",
      to,
      headers: OCTETS,
      scopes: this.#client.scopes,
      answerMs: LIMITS.registryCommitMs,
    });
    const { response } = attempted;
    const isDone = response.status === 201 || response.status === 204;
    // Where the answer to a first attempt was lost, the second finds no upload, but the blob.
    if (!isDone && !(attempted.attempts > 1 && (await this.#client.hasBlob(digest)))) {
      throw await this.#client.refusal(attempted, { what: this.#name, action: "push" });
    }
    await response.discard();
    this.#client.checkStored(response, digest, this.#name);
  }

  /**
   * Gives the upload up. Never throws: a registry forgets uploads by itself. The time also limits the wait for a new token, whose
   * request goes on, because other requests may wait for the same token.
   */
  async cancel(): Promise<void> {
    const deadline = new Deadline(LIMITS.uploadCancelMs);
    try {
      await deadline.limit(this.#remove());
    } catch {
      // It is forgotten in time.
    } finally {
      deadline.end();
    }
  }

  async #remove(): Promise<void> {
    const response = await this.#client.session.sendPlainly({
      method: "DELETE",
      to: this.#location,
      scopes: this.#client.scopes,
      signal: AbortSignal.timeout(LIMITS.uploadCancelMs),
    });
    await response.discard();
  }

  #broken(cause: unknown): DecoderError {
    const { host } = this.#location;
    return new DecoderError(
      "REGISTRY",
      `the connection to ${host} broke after ${formatBytes(this.#sent)} of ${this.#name}`,
      {
        hint: "a proxy may limit time or size",
        cause,
      },
    );
  }
}

/**
 * Uploads a blob, if need be several times from its first byte: what a registry has of an upload that broke is not known.
 * @param work sends and commits one upload; each call starts from the beginning
 * @param begun address of an upload that the first attempt uses
 * @throws DecoderError what the last attempt threw
 */
export async function uploading<T>(
  client: RegistryClient,
  name: string,
  work: (upload: Upload) => Promise<T>,
  begun?: string,
): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    const upload =
      begun !== undefined && attempt === 1
        ? Upload.begun(client, name, begun)
        : await Upload.begin(client, name);
    try {
      return await work(upload);
    } catch (error) {
      await upload.cancel();
      if (!upload.isBroken) throw error;
      if (attempt >= LIMITS.uploadAttempts) throw withCount(error, attempt);
      await pause(backoff(attempt), client.session.signal);
    }
  }
}

function locationOf(client: RegistryClient, response: HttpResponse): URL | undefined {
  const location = response.header("location");
  return location === undefined ? undefined : client.session.resolve(location, response.url);
}
