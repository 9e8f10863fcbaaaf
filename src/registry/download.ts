import { formatBytes } from "../encoding/units.ts";
import { DecoderError } from "../errors.ts";
import type { Descriptor } from "../spec/descriptor.ts";
import * as LIMITS from "../system-limits.ts";
import type { RegistryClient } from "./client.ts";
import { cutOff, isPassing } from "./connection-error.ts";
import type { HttpResponse } from "./http.ts";
import { contentLength, contentRangeStart } from "./ranges.ts";
import { backoff, pause } from "./retry.ts";

type BlobRange = Pick<Descriptor, "digest" | "size">;

interface NamedBlob {
  /** For messages: "layer 2 (sha256:…)". */
  readonly name: string;
  /** In bytes. */
  readonly size: number;
}

/**
 * The bytes of a blob, exactly `size` of them. A broken connection is made again, at the registry, and continues where the
 * last one ended: the caller must check the digest, which also proves the seam.
 * @param name for messages: "layer 2"
 * @throws DecoderError SIZE_MISMATCH, REGISTRY, and what `requestBlob` throws
 */
export async function* download(
  client: RegistryClient,
  { digest, size }: BlobRange,
  name?: string,
): AsyncGenerator<Uint8Array> {
  const blob = {
    digest,
    size,
    name: name?.includes(digest) === false ? `${name} (${digest})` : `blob ${digest}`,
  };
  let done = 0;
  let mark = 0;
  let failures = 0;
  for (;;) {
    const response = await client.requestBlob(digest, done === 0 ? {} : { Range: `bytes=${done}-` });
    try {
      for await (const chunk of restOf(response, done, blob)) {
        done += chunk.length;
        yield chunk;
      }
      return;
    } catch (error) {
      if (!isPassing(error)) throw error;
      // All bytes have arrived. Only the end mark after the last chunk is missing.
      if (done === size) return;
      failures = done - mark >= LIMITS.progressBytes ? 1 : failures + 1;
      mark = done;
      if (failures >= LIMITS.registryAttempts) throw broken(error, done, blob.name, failures);
      await pause(backoff(failures), client.session.signal);
    }
  }
}

/** What an answer holds of a blob from `start` on. @throws DecoderError SIZE_MISMATCH */
async function* restOf(
  response: HttpResponse,
  start: number,
  { name, size }: NamedBlob,
): AsyncGenerator<Uint8Array> {
  const isPartial = response.status === 206;
  const begins = isPartial ? contentRangeStart(response.header("content-range")) : 0;
  if (begins === undefined || (isPartial && begins !== start)) {
    await response.discard();
    throw new DecoderError(
      "REGISTRY",
      `${response.url.host} answered with another part of ${name} than was asked for`,
    );
  }
  const skip = start - begins;
  if (skip > LIMITS.rangeSkipBytes) {
    await response.discard();
    throw new DecoderError(
      "REGISTRY",
      `the download of ${name} broke, and ${response.url.host} can't continue it`,
    );
  }
  const length = contentLength(response.header("content-length"));
  // RFC 9110 §15.3.7 lets a server send less of a part than was asked for. What follows is asked for next.
  if (length !== undefined && (isPartial ? length > size - begins : length !== size - begins)) {
    await response.discard();
    throw mismatch(name, begins + length, size);
  }
  const done = yield* bounded(response.body, { skip, most: size - start, name, size });
  if (start + done === size) return;
  if (!isPartial) throw mismatch(name, start + done, size);
  throw new DecoderError("REGISTRY", `${response.url.host} sent only a part of what was asked for`, {
    cause: cutOff(),
  });
}

/** Leaves out the first bytes. @returns how many it yielded. @throws DecoderError SIZE_MISMATCH for more than `most` */
async function* bounded(
  body: AsyncIterable<Uint8Array>,
  { skip, most, name, size }: NamedBlob & { readonly skip: number; readonly most: number },
): AsyncGenerator<Uint8Array, number> {
  let skipped = 0;
  let done = 0;
  for await (const chunk of body) {
    const fresh = chunk.subarray(Math.min(skip - skipped, chunk.length));
    skipped += chunk.length - fresh.length;
    done += fresh.length;
    if (done > most) throw mismatch(name, `more than ${size}`, size);
    if (fresh.length > 0) yield fresh;
  }
  return done;
}

function mismatch(name: string, actual: number | string, size: number): DecoderError {
  return new DecoderError(
    "SIZE_MISMATCH",
    `${name} has ${actual} bytes, not the ${size} that the image says`,
  );
}

function broken(cause: unknown, done: number, name: string, times: number): DecoderError {
  const error = cause instanceof DecoderError ? cause.message : String(cause);
  return new DecoderError(
    "REGISTRY",
    `the download of ${name} broke after ${formatBytes(done)}, ${times} times: ${error}`,
    {
      hint: "a proxy may limit time or size",
      cause,
    },
  );
}
