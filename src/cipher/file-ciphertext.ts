import { createCipheriv, randomBytes, timingSafeEqual } from "node:crypto";
import { DecoderError } from "../errors.ts";
import type { FileInput } from "../io/file-input.ts";
import { CHUNK_BYTES, firstOf } from "./authenticator.ts";
import type { TwiceReadCiphertext } from "./held-ciphertext.ts";

const TAG_BYTES = 16;
const NONCE_BYTES = 12;
const FIRST_TAGS = 1024;

/**
 * The ciphertext between its two readings, left in the file that it is read from. The file may change between them. Each piece
 * gets a GMAC (NIST SP 800-38D §3) on the first read, which is checked on the second. The key lives as long as this object. A
 * GMAC costs a tenth of SHA-256, and far less than a copy of the layer.
 */
export class FileCiphertext implements TwiceReadCiphertext {
  readonly #file: FileInput;
  readonly #key = randomBytes(32);
  #tags = new Uint8Array(FIRST_TAGS * TAG_BYTES);
  #bytes = 0;

  constructor(file: FileInput) {
    this.#file = file;
  }

  /** Records the next piece. Every piece but the last has {@link CHUNK_BYTES}. */
  append(bytes: Uint8Array): void {
    const index = this.#bytes / CHUNK_BYTES;
    if (!Number.isInteger(index)) throw new Error("bug: a piece after one that is not whole");
    const offset = index * TAG_BYTES;
    if (offset === this.#tags.length) {
      const tags = new Uint8Array(2 * this.#tags.length);
      tags.set(this.#tags);
      this.#tags = tags;
    }
    this.#tags.set(this.#tagOf(index, bytes), offset);
    this.#bytes += bytes.length;
  }

  /** Yields no byte of a changed piece. @throws DecoderError IO, also when the file has changed */
  *pieces(): Generator<Uint8Array> {
    const buffer = new Uint8Array(CHUNK_BYTES);
    for (let index = 0; index * CHUNK_BYTES < this.#bytes; index++) {
      const position = index * CHUNK_BYTES;
      const piece = firstOf(buffer, Math.min(CHUNK_BYTES, this.#bytes - position));
      // A truncated file fills only a part of the buffer. The tag does not match the bytes left from before.
      this.#file.readAt(piece, position);
      const noted = this.#tags.subarray(index * TAG_BYTES, (index + 1) * TAG_BYTES);
      if (!timingSafeEqual(this.#tagOf(index, piece), noted)) {
        throw new DecoderError("IO", "the layer's file was changed while it was decrypted", {
          hint: "pull the image again; --no-content-store decrypts a copy of what arrives on standard input",
        });
      }
      yield piece;
    }
  }

  close(): void {
    this.#key.fill(0);
  }

  /** The piece's index is the nonce. It never repeats, since this object has a key of its own. */
  #tagOf(index: number, piece: Uint8Array): Uint8Array {
    const nonce = Buffer.alloc(NONCE_BYTES);
    nonce.writeUInt32BE(index);
    const gmac = createCipheriv("aes-256-gcm", this.#key, nonce);
    gmac.setAAD(piece);
    gmac.final();
    return gmac.getAuthTag();
  }
}
