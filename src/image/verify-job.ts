import type { LayerDecryptor } from "../cipher/decrypt.ts";
import { DecoderError } from "../errors.ts";
import { Digester } from "../io/digester.ts";
import { freeInOrder } from "../io/free.ts";
import type { Compression } from "../spec/media-types.ts";
import { decompress } from "../transport/compression.ts";
import { tarEntries } from "../transport/tar.ts";

/** The encrypted layer. */
interface Ciphertext {
  readonly chunks: Chunks;
  /** Whether nothing else refers to the chunks, so that they can be freed after use. */
  readonly isOwned: boolean;
  /** The layer in messages. */
  readonly digest: string;
}

/** What a layer's plaintext should be. */
interface ExpectedPlaintext {
  /** The plaintext in messages. */
  readonly name: string;
  readonly compression: Compression;
  /** Digest of the uncompressed tar in the image's configuration; undefined where the configuration has none. */
  readonly diffId: string | undefined;
}

type Chunks = AsyncIterable<Uint8Array>;

/**
 * Reads a layer's ciphertext once, and checks its HMAC and its plaintext. The plaintext is parsed before the verdict, since a
 * registry's layer should not be fetched twice. Its errors are reported only after the HMAC holds, since the form of a forgery
 * does not matter.
 * @throws DecoderError what the chunks throw; AUTHENTICATION; BAD_IMAGE, DIGEST_MISMATCH
 */
export async function verifyLayer(
  { chunks, isOwned, digest }: Ciphertext,
  decryptor: LayerDecryptor,
  expected: ExpectedPlaintext,
): Promise<void> {
  const layer = new WholeReading(authenticated(chunks, decryptor));
  const problem = await plaintextProblem(decrypted(layer.chunks(), decryptor, isOwned), expected);
  await layer.finish();
  decryptor.finish(digest);
  if (problem !== undefined) throw problem;
}

/** What is wrong with the plaintext, if anything. */
async function plaintextProblem(
  plaintext: Chunks,
  { name, compression, diffId }: ExpectedPlaintext,
): Promise<unknown> {
  const digester = new Digester();
  const tar = new WholeReading(digester.tap(decompress(compression, plaintext, name)));
  try {
    for await (const _entry of tarEntries(tar.chunks(), name)) {
      // The entries themselves don't matter: each follows the one before, up to the end.
    }
    await tar.finish();
    if (diffId === undefined || digester.digest() === diffId) return undefined;
    return new DecoderError(
      "DIGEST_MISMATCH",
      `${name}, uncompressed, is not ${diffId}, which the image's configuration lists`,
    );
  } catch (error) {
    return error;
  } finally {
    await tar.close();
  }
}

/** Chunks that are read to their end even if a reader gives up before. */
class WholeReading {
  readonly #iterator: AsyncIterator<Uint8Array>;
  #error: unknown;
  #hasFailed = false;

  constructor(chunks: Chunks) {
    this.#iterator = chunks[Symbol.asyncIterator]();
  }

  /** For one reader. Its stopping early does not end the chunks. */
  async *chunks(): AsyncGenerator<Uint8Array> {
    for (let next = await this.#next(); !next.done; next = await this.#next()) yield next.value;
  }

  /** Reads the rest. @throws what the chunks have thrown, now or before */
  async finish(): Promise<void> {
    while (!this.#hasFailed && !(await this.#next()).done);
    if (this.#hasFailed) throw this.#error;
  }

  /** Gives up what is left. */
  async close(): Promise<void> {
    await this.#iterator.return?.();
  }

  async #next(): Promise<IteratorResult<Uint8Array>> {
    try {
      return await this.#iterator.next();
    } catch (error) {
      this.#hasFailed = true;
      this.#error = error;
      throw error;
    }
  }
}

async function* authenticated(chunks: Chunks, decryptor: LayerDecryptor): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    decryptor.authenticate(chunk);
    yield chunk;
  }
}

async function* decrypted(
  chunks: Chunks,
  decryptor: LayerDecryptor,
  isOwned: boolean,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    const plaintext = decryptor.decrypt(chunk);
    if (isOwned) freeInOrder(chunk);
    yield plaintext;
  }
}
