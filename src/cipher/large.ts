import { createDecipheriv, type Decipheriv } from "node:crypto";
import { Digester } from "../io/digester.ts";
import { FileInput } from "../io/file-input.ts";
import type { ByteSource } from "../io/input.ts";
import { Output, type Sink } from "../io/output.ts";
import { enlargePipe } from "../process/pipe-capacity.ts";
import {
  type Authenticator,
  CHUNK_BYTES,
  firstOf,
  inlineAuthenticator,
  isSameHmac,
  WORKER_BYTES,
} from "./authenticator.ts";
import type { CiphertextCheck } from "./ciphertext-check.ts";
import { FileCiphertext } from "./file-ciphertext.ts";
import { HeldCiphertext, type TwiceReadCiphertext } from "./held-ciphertext.ts";
import type { LayerOptions } from "./options.ts";

/** What "stream" withholds until the verdict: more than a tar's end-of-archive and padding (10 KiB). */
const WITHHELD_BYTES = 64 * 1024;

/** A layer that is too large to open in one step. The last four fields are those of the release policy. */
interface LargeLayer {
  /** Ciphertext that was read while the layer's size was unknown. */
  readonly head: Uint8Array;
  readonly input: ByteSource;
  readonly output: Sink;
  readonly layer: LayerOptions;
  readonly check: CiphertextCheck;
  /** Bytes; undefined when unknown. */
  readonly size: number | undefined;
  readonly mode: "verified" | "stream";
  readonly spoolMemory: number;
  readonly spoolDirectory: string | undefined;
  readonly onAuthentic?: (bytes: number) => void;
}

/** @throws as releaseLayer */
export async function decryptLarge(large: LargeLayer): Promise<void> {
  const { layer, size, mode, check } = large;
  check.hashWith((algorithm) => new Digester(algorithm));
  const authenticator =
    size !== undefined && size > WORKER_BYTES
      ? (await import("./worker-authenticator.ts")).workerAuthenticator(layer.key, threadOptions(large))
      : inlineAuthenticator(layer.key);
  try {
    await (mode === "stream" ? whileVerifying(large, authenticator) : afterVerifying(large, authenticator));
  } finally {
    authenticator.close();
  }
}

/**
 * With "verified", the second thread also writes the plaintext, unless that is decompressed. Only a large pipe makes that faster:
 * both threads and the reader would otherwise wait for each other.
 */
function threadOptions({ mode, output }: LargeLayer): { readonly output?: Output } {
  return mode === "verified" && output instanceof Output && enlargePipe(output.fd) ? { output } : {};
}

/**
 * Authenticates the ciphertext and holds it. Once the HMAC holds, the ciphertext is read again and decrypted.
 * The decrypted bytes are always the authenticated ones, even if the input changes in between.
 */
async function afterVerifying(large: LargeLayer, authenticator: Authenticator): Promise<void> {
  const held = newTwiceRead(large);
  try {
    await authenticate(large, authenticator, (chunk) => held.append(chunk));
    conclude(large, authenticator);
    const decipher = newDecipher(large.layer);
    const writer = authenticator.writer();
    for (const piece of held.pieces()) await writeOnce(writer ?? large.output, decipher.update(piece));
    await writer?.finish?.();
  } finally {
    held.close();
  }
}

/** A file can be read twice without a copy. */
function newTwiceRead({ input, spoolMemory, spoolDirectory }: LargeLayer): TwiceReadCiphertext {
  return input instanceof FileInput
    ? new FileCiphertext(input)
    : new HeldCiphertext(spoolMemory, spoolDirectory);
}

/** Plaintext leaves as ciphertext arrives. Its tail waits for the verdict. */
async function whileVerifying(large: LargeLayer, authenticator: Authenticator): Promise<void> {
  const decipher = newDecipher(large.layer);
  const withheld: Uint8Array[] = [];
  let withheldBytes = 0;
  await authenticate(large, authenticator, async (chunk) => {
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
  });
  conclude(large, authenticator);
  for (const plaintext of withheld) await large.output.write(plaintext);
}

/**
 * Writes plaintext that has no other reference, and frees its memory immediately. Left to the garbage collector, the chunks
 * of a large layer pile up. A whole chunk has memory of its own (with a few bytes more), outside Buffer's pool.
 */
async function writeOnce(output: Sink, plaintext: Uint8Array): Promise<void> {
  await output.write(plaintext);
  const { buffer, byteLength } = plaintext;
  if (buffer instanceof ArrayBuffer && byteLength === CHUNK_BYTES) buffer.transfer(0);
}

/** Reads the ciphertext to its end. Each piece goes to the authenticator, then to `use`, and is then overwritten. */
async function authenticate(
  { head, input, check }: LargeLayer,
  authenticator: Authenticator,
  use: (chunk: Uint8Array) => void | Promise<void>,
): Promise<void> {
  for (let taken = 0; ; ) {
    const buffer = authenticator.buffer();
    let count: number;
    if (taken < head.length) {
      const ahead = head.subarray(taken, taken + CHUNK_BYTES);
      buffer.set(ahead);
      taken += count = ahead.length;
    } else {
      const read = input.read(buffer);
      count = typeof read === "number" ? read : await read;
      if (count === 0) return;
    }
    const chunk = firstOf(buffer, count);
    check.update(chunk);
    authenticator.push(count);
    const used = use(chunk);
    if (used !== undefined) await used;
  }
}

/** The verdict over the whole layer. @throws DecoderError AUTHENTICATION, DIGEST_MISMATCH, and what `onAuthentic` throws */
function conclude({ layer, check, onAuthentic }: LargeLayer, authenticator: Authenticator): void {
  if (!isSameHmac(authenticator.digest(), layer)) throw check.forged();
  check.finish();
  onAuthentic?.(check.count);
}

function newDecipher({ key, nonce }: LayerOptions): Decipheriv {
  return createDecipheriv("aes-256-ctr", key.bytes, nonce);
}
