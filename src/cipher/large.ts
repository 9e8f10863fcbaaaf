import { createDecipheriv, createHmac, type Decipheriv, type Hmac, timingSafeEqual } from "node:crypto";
import type { Input } from "../io/input.ts";
import type { Sink } from "../io/output.ts";
import { Spool } from "../io/spool.ts";
import type { CiphertextCheck } from "./check.ts";
import type { LayerOptions } from "./options.ts";

/** A pipe holds 64 KiB, so no read gives more; the same size keeps AES-CTR's output in the processor's cache. */
const CHUNK_BYTES = 64 * 1024;
/** What `--release=stream` withholds until the verdict: more than a tar's end-of-archive and padding (10 KiB). */
const WITHHELD_BYTES = 64 * 1024;

/** Everything that both ways of release share: where from, where to, and with what. */
export interface LargeLayer {
  /** What was read already, while it was not known how large the layer is. */
  readonly head: Uint8Array;
  readonly input: Input;
  readonly output: Sink;
  readonly options: LayerOptions;
  readonly check: CiphertextCheck;
}

/**
 * Verified release: the ciphertext goes to a nameless file while it is authenticated; only when the HMAC holds it is
 * read back, decrypted and written. Nothing is released before.
 */
export async function releaseVerified(layer: LargeLayer, spoolDirectory: string | undefined): Promise<void> {
  const { options, check, output } = layer;
  const spool = new Spool(spoolDirectory);
  try {
    const hmac = newHmac(options);
    for (const chunk of chunksOf(layer)) {
      hmac.update(chunk);
      spool.write(chunk);
    }
    conclude(hmac, layer);
    const decipher = newDecipher(options);
    const buffer = new Uint8Array(CHUNK_BYTES);
    for (let position = 0; position < check.count; ) {
      const count = spool.readAt(buffer, position);
      if (count === 0) throw check.forged();
      await output.write(decipher.update(buffer.subarray(0, count)));
      position += count;
    }
  } finally {
    spool.close();
  }
}

/** `--release=stream`: plaintext leaves as ciphertext arrives, but for the tail, which waits for the verdict. */
export async function releaseStreaming(layer: LargeLayer): Promise<void> {
  const { options, output } = layer;
  const hmac = newHmac(options);
  const decipher = newDecipher(options);
  let withheld: Uint8Array = new Uint8Array(0);
  for (const chunk of chunksOf(layer)) {
    hmac.update(chunk);
    const plaintext = Buffer.concat([withheld, decipher.update(chunk)]);
    const released = Math.max(0, plaintext.length - WITHHELD_BYTES);
    await output.write(plaintext.subarray(0, released));
    withheld = plaintext.subarray(released);
  }
  conclude(hmac, layer);
  await output.write(withheld);
}

/** The ciphertext; each piece is gone when the next is asked for. */
function* chunksOf({ head, input, check }: LargeLayer): Generator<Uint8Array> {
  for (let offset = 0; offset < head.length; offset += CHUNK_BYTES) {
    const chunk = head.subarray(offset, offset + CHUNK_BYTES);
    check.update(chunk);
    yield chunk;
  }
  const buffer = new Uint8Array(CHUNK_BYTES);
  for (let count = input.read(buffer); count > 0; count = input.read(buffer)) {
    const chunk = buffer.subarray(0, count);
    check.update(chunk);
    yield chunk;
  }
}

function conclude(hmac: Hmac, { options, check }: LargeLayer): void {
  if (!timingSafeEqual(hmac.digest(), options.hmac)) throw check.forged();
  check.finish();
}

function newHmac({ key }: LayerOptions): Hmac {
  return createHmac("sha256", key.bytes);
}

function newDecipher({ key, nonce }: LayerOptions): Decipheriv {
  return createDecipheriv("aes-256-ctr", key.bytes, nonce);
}
