import { DecoderError } from "../errors.ts";
import * as LIMITS from "../limits.ts";
import type { Descriptor } from "../spec/descriptor.ts";
import type { RegistryClient } from "./client.ts";
import { isPassing } from "./connection-error.ts";
import type { HttpResponse } from "./http.ts";
import { contentLength, contentRangeStart } from "./ranges.ts";
import { backoff, pause } from "./retry.ts";

type BlobRange = Pick<Descriptor, "digest" | "size">;

/**
 * The bytes of a blob, exactly `size` of them. A broken connection is made again, at the registry, and continues where the
 * last one ended: the caller must check the digest, which also proves the seam.
 * @param name for messages: "layer 2"
 * @throws DecoderError SIZE_MISMATCH, REGISTRY, and what `requestBlob` throws
 */
export async function* download(
  client: RegistryClient,
  { digest, size }: BlobRange,
  name = `blob ${digest}`,
): AsyncGenerator<Uint8Array> {
  let done = 0;
  let mark = 0;
  let failures = 0;
  for (;;) {
    const response = await client.requestBlob(digest, done === 0 ? {} : { Range: `bytes=${done}-` });
    try {
      for await (const chunk of restOf(response, done, { digest, size })) {
        done += chunk.length;
        yield chunk;
      }
      return;
    } catch (error) {
      if (!isPassing(error)) throw error;
      failures = done - mark >= LIMITS.progressBytes ? 1 : failures + 1;
      mark = done;
      if (failures >= LIMITS.registryAttempts) throw broken(error, done, name, failures);
      await pause(backoff(failures), client.session.signal);
    }
  }
}

/** What an answer holds of a blob from `start` on. @throws DecoderError SIZE_MISMATCH */
async function* restOf(
  response: HttpResponse,
  start: number,
  { digest, size }: BlobRange,
): AsyncGenerator<Uint8Array> {
  const isPartial = response.status === 206;
  const begins = isPartial ? contentRangeStart(response.header("content-range")) : 0;
  if (begins === undefined || (isPartial && begins !== start)) {
    await response.discard();
    throw new DecoderError(
      "REGISTRY",
      `${response.url.host} answered with another part of blob ${digest} than was asked for`,
    );
  }
  const skip = start - begins;
  if (skip > LIMITS.rangeSkipBytes) {
    await response.discard();
    throw new DecoderError(
      "REGISTRY",
      `the download of blob ${digest} broke, and ${response.url.host} can't continue it`,
    );
  }
  const length = contentLength(response.header("content-length"));
  if (length !== undefined && length !== size - begins) {
    await response.discard();
    throw mismatch(digest, begins + length, size);
  }
  yield* exactly(response.body, { skip, most: size - start, digest, size });
}

async function* exactly(
  body: AsyncIterable<Uint8Array>,
  { skip, most, digest, size }: BlobRange & { readonly skip: number; readonly most: number },
): AsyncGenerator<Uint8Array> {
  let skipped = 0;
  let done = 0;
  for await (const chunk of body) {
    const fresh = chunk.subarray(Math.min(skip - skipped, chunk.length));
    skipped += chunk.length - fresh.length;
    done += fresh.length;
    if (done > most) throw mismatch(digest, `more than ${size}`, size);
    if (fresh.length > 0) yield fresh;
  }
  if (done < most) throw mismatch(digest, size - most + done, size);
}

function mismatch(digest: string, actual: number | string, size: number): DecoderError {
  return new DecoderError(
    "SIZE_MISMATCH",
    `blob ${digest} has ${actual} bytes, not the ${size} that the image says`,
  );
}

function broken(cause: unknown, done: number, name: string, times: number): DecoderError {
  const error = cause instanceof DecoderError ? cause.message : String(cause);
  return new DecoderError(
    "REGISTRY",
    `the download of ${name} broke after ${done} bytes, ${times} times: ${error}`,
    {
      hint: "a proxy may limit time or size",
      cause,
    },
  );
}
