import { createDecipheriv, type Decipheriv, timingSafeEqual } from "node:crypto";
import { FileInput } from "../io/file-input.ts";
import type { Input } from "../io/input.ts";
import type { Sink } from "../io/output.ts";
import { type Authenticator, inlineAuthenticator, WORKER_BYTES } from "./authenticator.ts";
import type { CiphertextCheck } from "./check.ts";
import { CHUNK_BYTES, firstOf } from "./chunk.ts";
import { FileCiphertext } from "./file-ciphertext.ts";
import { HeldCiphertext, type TwiceReadCiphertext } from "./held.ts";
import type { LayerOptions } from "./options.ts";
import type { ReleaseOptions } from "./release.ts";

/** What `--release=stream` withholds until the verdict: more than a tar's end-of-archive and padding (10 KiB). */
const WITHHELD_BYTES = 64 * 1024;

/** Everything that both ways of release share: where from, where to, and with what. */
export interface LargeLayer {
  /** What was read already, while it was not known how large the layer is. */
  readonly head: Uint8Array;
  readonly input: Input;
  readonly output: Sink;
  readonly layer: LayerOptions;
  readonly check: CiphertextCheck;
  /** Bytes; undefined when nobody told. */
  readonly size: number | undefined;
}

/** Releases a layer that is too large to be opened at once. @throws as releaseLayer */
export async function releaseLarge(large: LargeLayer, options: ReleaseOptions): Promise<void> {
  const { layer, size } = large;
  const authenticator =
    size !== undefined && size > WORKER_BYTES
      ? (await import("./worker-authenticator.ts")).workerAuthenticator(layer.key)
      : inlineAuthenticator(layer.key);
  try {
    await (options.release === "stream"
      ? releaseStreaming(large, authenticator, options)
      : releaseVerified(large, authenticator, options));
  } finally {
    authenticator.close();
  }
}

/**
 * Verified release: the ciphertext is authenticated; only when its HMAC holds it is read again, from where it was held
 * meanwhile, decrypted and written. Nothing is released before.
 */
async function releaseVerified(
  large: LargeLayer,
  authenticator: Authenticator,
  options: ReleaseOptions,
): Promise<void> {
  const held = newTwiceRead(large.input, options);
  try {
    for (const chunk of authenticatedChunks(large, authenticator)) held.append(chunk);
    conclude(large, authenticator);
    options.onAuthentic?.(large.check.count);
    const decipher = newDecipher(large.layer);
    for (const piece of held.pieces()) await writeOnce(large.output, decipher.update(piece));
  } finally {
    held.close();
  }
}

/** A file's bytes need not be copied to be read again. */
function newTwiceRead(input: Input, { spoolMemory, spoolDirectory }: ReleaseOptions): TwiceReadCiphertext {
  return input instanceof FileInput
    ? new FileCiphertext(input)
    : new HeldCiphertext(spoolMemory, spoolDirectory);
}

/** `--release=stream`: plaintext leaves as ciphertext arrives, but for the tail, which waits for the verdict. */
async function releaseStreaming(
  large: LargeLayer,
  authenticator: Authenticator,
  options: ReleaseOptions,
): Promise<void> {
  const decipher = newDecipher(large.layer);
  const withheld: Uint8Array[] = [];
  let withheldBytes = 0;
  for (const chunk of authenticatedChunks(large, authenticator)) {
    withheld.push(decipher.update(chunk));
    withheldBytes += chunk.length;
    for (
      let [first] = withheld;
      first && withheldBytes - first.length >= WITHHELD_BYTES;
      [first] = withheld
    ) {
      withheld.shift();
      withheldBytes -= first.length;
      await writeOnce(large.output, first);
    }
  }
  conclude(large, authenticator);
  options.onAuthentic?.(large.check.count);
  for (const plaintext of withheld) await large.output.write(plaintext);
}

/**
 * Writes plaintext that nobody else has, and gives its memory back at once: left to the garbage collector, that of a large
 * layer piles up. The memory of a whole chunk is its own (with a few bytes more), and no part of Buffer's pool.
 */
async function writeOnce(output: Sink, plaintext: Uint8Array): Promise<void> {
  await output.write(plaintext);
  const { buffer, byteLength } = plaintext;
  if (buffer instanceof ArrayBuffer && byteLength === CHUNK_BYTES) buffer.transfer(0);
}

/** The ciphertext, each piece handed to the authenticator first; it is gone when the next is asked for. */
function* authenticatedChunks(
  { head, input, check }: LargeLayer,
  authenticator: Authenticator,
): Generator<Uint8Array> {
  for (let taken = 0; ; ) {
    const buffer = authenticator.buffer();
    let count: number;
    if (taken < head.length) {
      const ahead = head.subarray(taken, taken + CHUNK_BYTES);
      buffer.set(ahead);
      taken += count = ahead.length;
    } else {
      count = input.read(buffer);
      if (count === 0) return;
    }
    const chunk = firstOf(buffer, count);
    check.update(chunk);
    authenticator.push(count);
    yield chunk;
  }
}

function conclude({ layer, check }: LargeLayer, authenticator: Authenticator): void {
  if (!timingSafeEqual(authenticator.digest(), layer.hmac)) throw check.forged();
  check.finish();
}

function newDecipher({ key, nonce }: LayerOptions): Decipheriv {
  return createDecipheriv("aes-256-ctr", key.bytes, nonce);
}
