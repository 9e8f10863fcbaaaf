import { createCipheriv, createHmac } from "node:crypto";
import { closeSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { LayerOptions } from "../../src/cipher/options.ts";
import { openInMemory, type ReleaseMode, releaseLayer } from "../../src/cipher/release.ts";
import { Input } from "../../src/io/input.ts";
import { Output } from "../../src/io/output.ts";
import { Secret } from "../../src/secret.ts";

/** A layer encrypted by node:crypto, with everything that is known of it. */
export interface EncryptedLayer {
  readonly plaintext: Uint8Array;
  readonly ciphertext: Buffer;
  readonly key: Buffer;
  readonly nonce: Buffer;
  readonly hmac: Buffer;
  /** As the wrapped key and the annotation give them; destroying one does not touch the next. */
  options(changes?: { readonly hmac?: Uint8Array; readonly nonce?: Uint8Array }): LayerOptions;
}

const DEFAULT_KEY = Buffer.from("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4", "hex");
const DEFAULT_NONCE = Buffer.from("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff", "hex");

export function encryptLayer(
  plaintext: Uint8Array,
  key = DEFAULT_KEY,
  nonce = DEFAULT_NONCE,
): EncryptedLayer {
  const cipher = createCipheriv("aes-256-ctr", key, nonce);
  const ciphertext = Buffer.concat([cipher.update(plaintext), cipher.final()]);
  const hmac = createHmac("sha256", key).update(ciphertext).digest();
  return {
    plaintext,
    ciphertext,
    key,
    nonce,
    hmac,
    options: (changes = {}) => ({
      key: new Secret(Uint8Array.from(key)),
      nonce: Uint8Array.from(changes.nonce ?? nonce),
      hmac: Uint8Array.from(changes.hmac ?? hmac),
      digest: undefined,
    }),
  };
}

/** The plaintext of a layer in memory; null when it is not authentic. */
export async function openWhole(ciphertext: Uint8Array, options: LayerOptions): Promise<Uint8Array | null> {
  const pieces = await openInMemory(Uint8Array.from(ciphertext), options);
  if (pieces === null) return null;
  const whole: Uint8Array[] = [];
  for await (const piece of pieces) whole.push(piece);
  return Uint8Array.from(Buffer.concat(whole));
}

/** Bytes that don't repeat: a block that is dropped, doubled or misplaced shows. */
export function plainBytes(length: number): Buffer {
  const words = new Uint32Array(Math.ceil(length / 4));
  for (let i = 0; i < words.length; i++) words[i] = Math.imul(i + 1, 0x9e3779b1);
  return Buffer.from(words.buffer).subarray(0, length);
}

/** Copies, with one bit of the byte at `position` changed. */
export function flipBit(bytes: Uint8Array, position: number, bit = position % 8): Buffer {
  const flipped = Buffer.from(bytes);
  flipped.writeUInt8(flipped.readUInt8(position) ^ (1 << bit), position);
  return flipped;
}

/** An input that gives at most so many bytes at a time, as a pipe does. */
class ChunkedInput extends Input {
  readonly #chunk: number;

  constructor(fd: number, chunk: number) {
    super(fd, "the ciphertext");
    this.#chunk = chunk;
  }

  override read(buffer: Uint8Array, offset = 0, length = buffer.length - offset): number {
    return super.read(buffer, offset, Math.min(length, this.#chunk));
  }
}

export interface ReleaseCall {
  readonly ciphertext: Uint8Array;
  readonly options: LayerOptions;
  readonly size?: number;
  readonly digest?: string;
  readonly release?: ReleaseMode;
  readonly spoolMemory?: number;
  /** Bytes of one read. */
  readonly chunk?: number;
  readonly onAuthentic?: (bytes: number) => void;
}

export interface Released {
  /** The error's code, or undefined when it went well. */
  readonly code: string | undefined;
  readonly message: string | undefined;
  /** All that was written, on failure too. */
  readonly written: Buffer;
}

/** Releases a layer from and to files in `folder`. */
export async function release(folder: string, call: ReleaseCall): Promise<Released> {
  const [from, to] = [join(folder, "ciphertext"), join(folder, "plaintext")];
  writeFileSync(from, call.ciphertext);
  const [source, target] = [openSync(from, "r"), openSync(to, "w")];
  let error: unknown;
  try {
    await releaseLayer(
      {
        input: new ChunkedInput(source, call.chunk ?? 65536),
        output: new Output(target, "the plaintext"),
      },
      call.options,
      { size: call.size, digest: call.digest },
      {
        mode: call.release ?? "verified",
        spoolMemory: call.spoolMemory ?? 16 << 20,
        spoolDirectory: folder,
        ...(call.onAuthentic && { onAuthentic: call.onAuthentic }),
      },
    );
  } catch (caught) {
    error = caught;
  } finally {
    closeSync(source);
    closeSync(target);
  }
  const { code, message } = (error ?? {}) as { code?: string; message?: string };
  return {
    code: error === undefined ? undefined : (code ?? String(error)),
    message,
    written: readFileSync(to),
  };
}
