import { type RunningHash, startHash } from "../process/runtime.ts";

/** Hashes bytes as they pass, and returns the result as a digest. */
export class Digester {
  readonly #algorithm: string;
  readonly #hash: RunningHash;

  constructor(algorithm = "sha256") {
    this.#algorithm = algorithm;
    this.#hash = startHash(algorithm);
  }

  update(chunk: Uint8Array): void {
    this.#hash.update(chunk);
  }

  /** Passes the chunks through and hashes them. */
  async *tap(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const chunk of chunks) {
      this.update(chunk);
      yield chunk;
    }
  }

  /** Returns "sha256:<hex>". Call it once, at the end. */
  digest(): string {
    return `${this.#algorithm}:${this.#hash.digest().toHex()}`;
  }
}

/** Returns the digest of bytes in memory, "sha256:<hex>". */
export function digestOf(bytes: Uint8Array, algorithm = "sha256"): string {
  const digester = new Digester(algorithm);
  digester.update(bytes);
  return digester.digest();
}
