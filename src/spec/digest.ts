import { createHash, type Hash } from "node:crypto";
import { DecoderError } from "../errors.ts";

/** OCI image spec, "Registered algorithms": name → hexadecimal digits. */
const ALGORITHMS: ReadonlyMap<string, number> = new Map([
  ["sha256", 64],
  ["sha384", 96],
  ["sha512", 128],
]);

export interface Digest {
  readonly algorithm: string;
  readonly hex: string;
}

/** "sha256:<hex>" in its parts, or undefined for anything else: it may then be used as a file name. */
export function parseDigest(text: string): Digest | undefined {
  const colon = text.indexOf(":");
  const algorithm = text.slice(0, Math.max(colon, 0));
  const hex = text.slice(colon + 1);
  return ALGORITHMS.get(algorithm) === hex.length && /^[0-9a-f]+$/.test(hex) ? { algorithm, hex } : undefined;
}

/** @throws DecoderError BAD_DESCRIPTOR */
export function checkedDigest(text: string): Digest {
  const digest = parseDigest(text);
  if (digest === undefined) {
    throw new DecoderError(
      "BAD_DESCRIPTOR",
      `not a digest that can be checked: ${JSON.stringify(text.slice(0, 160))}`,
    );
  }
  return digest;
}

/** A running hash whose end is written as a digest. */
export class Digester {
  readonly #algorithm: string;
  readonly #hash: Hash;

  constructor(algorithm = "sha256") {
    this.#algorithm = algorithm;
    this.#hash = createHash(algorithm);
  }

  update(chunk: Uint8Array): void {
    this.#hash.update(chunk);
  }

  /** The same chunks, hashed as they pass. */
  async *tap(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const chunk of chunks) {
      this.update(chunk);
      yield chunk;
    }
  }

  digest(): string {
    return `${this.#algorithm}:${this.#hash.digest("hex")}`;
  }
}

export function digestOf(bytes: Uint8Array, algorithm = "sha256"): string {
  const digester = new Digester(algorithm);
  digester.update(bytes);
  return digester.digest();
}
