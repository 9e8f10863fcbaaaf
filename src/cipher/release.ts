import type { Input } from "../io/input.ts";
import type { Sink } from "../io/output.ts";
import { CiphertextCheck, type Expected } from "./check.ts";
import { openInMemory } from "./memory.ts";
import type { LayerOptions } from "./options.ts";

export interface ReleaseOptions {
  /** "verified": not one plaintext byte before the HMAC over the whole layer holds. "stream": all but the tail. */
  readonly release: "verified" | "stream";
  /** Bytes of ciphertext held in memory; what is more goes to a temporary file, unless it can be read twice where it is. */
  readonly spoolMemory: number;
  readonly spoolDirectory: string | undefined;
  /**
   * Called once the whole layer is authenticated, with its bytes, and before they leave (with "stream": before the last
   * of them do). What it throws keeps them back.
   */
  readonly onAuthentic?: (bytes: number) => void;
}

/**
 * A layer up to this size is opened at once by WebCrypto, which saves loading node:crypto; above it, touching all memory
 * twice costs more than that.
 */
const AT_ONCE_BYTES = 1024 * 1024;
/** First guess of a layer whose size nobody told. */
const FIRST_BUFFER_BYTES = 256 * 1024;

/**
 * Reads the ciphertext, verifies it and writes the plaintext. Returns the bytes of plaintext, which are as many as of
 * ciphertext.
 * @throws DecoderError AUTHENTICATION, SIZE_MISMATCH, DIGEST_MISMATCH; IO when reading, writing or spooling fails
 */
export async function releaseLayer(
  input: Input,
  output: Sink,
  layer: LayerOptions,
  expected: Expected,
  options: ReleaseOptions,
): Promise<number> {
  const check = await CiphertextCheck.create(expected);
  const size = expected.size ?? input.size;
  const head = readHead(input, Math.min(options.spoolMemory, AT_ONCE_BYTES), size);
  if (head.complete) {
    check.update(head.bytes);
    const plaintext = await openInMemory(head.bytes, layer);
    if (plaintext === null) throw check.forged();
    check.finish();
    options.onAuthentic?.(check.count);
    await output.write(plaintext);
  } else {
    const { releaseLarge } = await import("./large.ts");
    await releaseLarge({ head: head.bytes, input, output, layer, check, size }, options);
  }
  return check.count;
}

/** The layer's beginning: all of it when it is no larger than `limit`, else some of it, for the others to go on from. */
function readHead(
  input: Input,
  limit: number,
  size: number | undefined,
): { bytes: Uint8Array<ArrayBuffer>; complete: boolean } {
  if (size !== undefined && size > limit) return { bytes: new Uint8Array(0), complete: false };
  let buffer = new Uint8Array(Math.min(size ?? FIRST_BUFFER_BYTES, limit) + 1); // one more shows the end, or that there is none
  let length = 0;
  for (;;) {
    const count = input.read(buffer, length);
    if (count === 0) return { bytes: buffer.subarray(0, length), complete: true };
    length += count;
    if (length < buffer.length) continue;
    if (size !== undefined || length > limit) return { bytes: buffer, complete: false };
    const larger = new Uint8Array(Math.min(buffer.length * 2, limit + 1));
    larger.set(buffer);
    buffer = larger;
  }
}
