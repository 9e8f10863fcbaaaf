import { createCipheriv, randomBytes, timingSafeEqual } from "node:crypto";
import { DecoderError } from "../errors.ts";
import type { FileInput } from "../io/file-input.ts";
import { CHUNK_BYTES, firstOf } from "./authenticator.ts";
import type { TwiceReadCiphertext } from "./held.ts";

const TAG_BYTES = 16;
const NONCE_BYTES = 12;
const FIRST_TAGS = 1024;

/**
 * The ciphertext between its two readings, left in the file that it is read from. Others may write there: what is read
 * the second time is known for the same by a tag of each piece, a GMAC (NIST SP 800-38D §3) under a key that lives and
 * ends with this object, which costs a tenth of what SHA-256 does, and far less than to copy the layer.
 */
export class FileCiphertext implements TwiceReadCiphertext {
  readonly #file: FileInput;
  readonly #key = randomBytes(32);
  #tags = new Uint8Array(FIRST_TAGS * TAG_BYTES);
  #bytes = 0;

  constructor(file: FileInput) {
    this.#file = file;
  }

  /** Takes note of the next piece: of {@link CHUNK_BYTES}, but for the last. */
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

  /** @throws DecoderError IO, also when the file is not what it was: nothing of a changed piece is given out */
  *pieces(): Generator<Uint8Array> {
    const buffer = new Uint8Array(CHUNK_BYTES);
    for (let index = 0; index * CHUNK_BYTES < this.#bytes; index++) {
      const position = index * CHUNK_BYTES;
      const piece = firstOf(buffer, Math.min(CHUNK_BYTES, this.#bytes - position));
      // Of a file that was cut too little is read, and the tag is not that of what was in the buffer before.
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

  /** The piece's place is the nonce: with a key of this object's own none comes twice. */
  #tagOf(index: number, piece: Uint8Array): Uint8Array {
    const nonce = Buffer.alloc(NONCE_BYTES);
    nonce.writeUInt32BE(index);
    const gmac = createCipheriv("aes-256-gcm", this.#key, nonce);
    gmac.setAAD(piece);
    gmac.final();
    return gmac.getAuthTag();
  }
}
