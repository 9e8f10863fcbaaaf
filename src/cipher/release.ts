import { equalConstantTime } from "../encoding/bytes.ts";
import type { ByteSource } from "../io/input.ts";
import type { Sink } from "../io/output.ts";
import { type RunningHash, startHash } from "../process/runtime.ts";
import type { Secret } from "../secret.ts";
import { CiphertextCheck, type Expected } from "./ciphertext-check.ts";
import type { LayerOptions } from "./options.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** "verified" releases plaintext only after the HMAC over the whole layer holds. "stream" withholds only the tail until then. */
export type ReleaseMode = "verified" | "stream";

export interface ReleasePolicy {
  readonly mode: ReleaseMode;
  /** Bytes of ciphertext held in memory. The rest goes to a temporary file, unless the input can be read twice. */
  readonly spoolMemory: number;
  /** The temporary file's folder; undefined for the default. */
  readonly spoolDirectory: string | undefined;
  /**
   * Called with the layer's size once all of it is authenticated, before plaintext leaves; with "stream", before the tail
   * leaves. An error that it throws keeps the plaintext back.
   */
  readonly onAuthentic?: (bytes: number) => void;
}

/** A layer of up to this size is held in memory and decrypted by WebCrypto, which saves loading node:crypto. */
const AT_ONCE_BYTES = 4 * 1024 * 1024;
/** The capacity of a pipe. WebCrypto verifies layers up to this size faster than {@link startHash} does. */
const ONE_READ_BYTES = 64 * 1024;
/** Bytes that are decrypted in one step. A later step uses the same memory, which saves page faults. */
const PIECE_BYTES = 128 * 1024;
/** First guess for a layer of unknown size. */
const FIRST_BUFFER_BYTES = 256 * 1024;

/**
 * Reads a layer's ciphertext, verifies it and writes the plaintext. All plaintext is released through this function.
 * @returns the size of the plaintext, which is that of the ciphertext
 * @throws DecoderError AUTHENTICATION, SIZE_MISMATCH, DIGEST_MISMATCH; IO when reading, writing or spooling fails
 */
export async function releaseLayer(
  { input, output }: { readonly input: ByteSource; readonly output: Sink },
  layer: LayerOptions,
  expected: Expected,
  policy: ReleasePolicy,
): Promise<number> {
  const check = await CiphertextCheck.create(expected);
  const size = expected.size ?? input.size;
  const limit = Math.min(policy.spoolMemory, AT_ONCE_BYTES);
  const isHashedWhileRead = size !== undefined && size > ONE_READ_BYTES && size <= limit;
  const hmac = isHashedWhileRead ? startHash("sha256", layer.key.bytes) : undefined;
  const head = await readHead(input, limit, size, hmac);
  if (head.isWhole) {
    await check.takeWhole(head.bytes);
    const plaintext = await openInMemory(head.bytes, layer, hmac?.digest());
    if (plaintext === null) throw check.forged();
    check.finish();
    policy.onAuthentic?.(check.count);
    for await (const piece of plaintext) {
      await output.write(piece);
      // A later piece gets this memory.
      piece.buffer.transfer(0);
    }
  } else {
    const { decryptLarge } = await import("./large.ts");
    await decryptLarge({ head: head.bytes, input, output, layer, check, size, ...policy });
  }
  return check.count;
}

/**
 * Verifies a whole layer, and decrypts its first piece at the same time on WebCrypto's thread pool.
 * @param computed the HMAC of the ciphertext, if it is known
 * @returns the plaintext in pieces, each with memory of its own; null when the layer is not authentic
 */
export async function openInMemory(
  ciphertext: Bytes,
  { key, nonce, hmac }: LayerOptions,
  computed?: Uint8Array,
): Promise<AsyncIterable<Bytes> | null> {
  const cipherKey = await crypto.subtle.importKey("raw", key.bytes, "AES-CTR", false, ["decrypt"]);
  const pieceAt = async (offset: number) => {
    // The counter spans all 16 bytes of the nonce, as in Go's cipher.NewCTR.
    const counter = { name: "AES-CTR", counter: counterAt(nonce, offset / 16), length: 128 };
    const piece = ciphertext.subarray(offset, offset + PIECE_BYTES);
    return new Uint8Array(await crypto.subtle.decrypt(counter, cipherKey, piece));
  };
  const [isAuthentic, first] = await Promise.all([
    computed === undefined ? verify(ciphertext, key, hmac) : equalConstantTime(computed, hmac),
    pieceAt(0),
  ]);
  return isAuthentic ? pieces(first, ciphertext.length, pieceAt) : null;
}

async function verify(ciphertext: Bytes, key: Secret, hmac: Bytes): Promise<boolean> {
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const macKey = await crypto.subtle.importKey("raw", key.bytes, algorithm, false, ["verify"]);
  return crypto.subtle.verify("HMAC", macKey, hmac, ciphertext);
}

/** Each piece is decrypted while the one before it is written. */
async function* pieces(
  first: Bytes,
  size: number,
  pieceAt: (offset: number) => Promise<Bytes>,
): AsyncGenerator<Bytes> {
  let piece = first;
  for (let offset = PIECE_BYTES; offset < size; offset += PIECE_BYTES) {
    const next = pieceAt(offset);
    // After a failed write, this promise is not awaited. Its rejection must not end the process.
    next.catch(() => undefined);
    yield piece;
    piece = await next;
  }
  yield piece;
}

/** The counter after some blocks. It is one big-endian number that wraps around (NIST SP 800-38A, appendix B.1). */
function counterAt(nonce: Bytes, blocks: number): Bytes {
  const counter = nonce.slice();
  for (let at = counter.length - 1, carry = blocks; at >= 0 && carry > 0; at--, carry >>>= 8) {
    carry += counter[at] ?? 0;
    counter[at] = carry;
  }
  return counter;
}

/**
 * Reads the whole layer if it has at most `limit` bytes, otherwise only its beginning.
 * @param hmac takes in what is read
 */
async function readHead(
  input: ByteSource,
  limit: number,
  size: number | undefined,
  hmac: RunningHash | undefined,
): Promise<{ readonly bytes: Bytes; readonly isWhole: boolean }> {
  if (size !== undefined && size > limit) return { bytes: new Uint8Array(0), isWhole: false };
  let buffer = new Uint8Array(Math.min(size ?? FIRST_BUFFER_BYTES, limit) + 1); // the extra byte shows where the layer ends
  let length = 0;
  for (;;) {
    const read = input.read(buffer, length);
    const count = typeof read === "number" ? read : await read;
    if (count === 0) return { bytes: buffer.subarray(0, length), isWhole: true };
    hmac?.update(buffer.subarray(length, length + count));
    length += count;
    if (length < buffer.length) continue;
    if (size !== undefined || length > limit) return { bytes: buffer, isWhole: false };
    const larger = new Uint8Array(Math.min(buffer.length * 2, limit + 1));
    larger.set(buffer);
    buffer = larger;
  }
}
