import { DecoderError } from "../errors.ts";
import type { Digester } from "../io/digester.ts";

/** What the descriptor says about the ciphertext. */
export interface Expected {
  /** Bytes; undefined when the descriptor doesn't say. */
  readonly size: number | undefined;
  /** "sha256:<hex>"; undefined to skip the check. */
  readonly digest: string | undefined;
}

/** Counts the ciphertext, on demand hashes it, and compares both with the descriptor. */
export class CiphertextCheck {
  readonly #expected: Expected;
  /** Of the expected digest. */
  readonly #algorithm: string | undefined;
  #digester: Digester | undefined;
  #found: string | undefined;
  #count = 0;

  private constructor(expected: Expected, algorithm: string | undefined) {
    this.#expected = expected;
    this.#algorithm = algorithm;
  }

  /** @throws DecoderError BAD_DESCRIPTOR for a digest that can't be checked */
  static create(expected: Expected): CiphertextCheck | Promise<CiphertextCheck> {
    const { digest } = expected;
    return digest === undefined
      ? new CiphertextCheck(expected, undefined)
      : CiphertextCheck.#withDigest(expected, digest);
  }

  static async #withDigest(expected: Expected, digest: string): Promise<CiphertextCheck> {
    const { checkedDigest } = await import("../spec/digest.ts");
    return new CiphertextCheck(expected, checkedDigest(digest).algorithm);
  }

  /** Bytes so far. */
  get count(): number {
    return this.#count;
  }

  /** Takes all of the ciphertext. @throws DecoderError SIZE_MISMATCH */
  takeWhole(bytes: Uint8Array<ArrayBuffer>): void | Promise<void> {
    this.#add(bytes.length);
    if (this.#algorithm !== undefined) return this.#hashWhole(bytes, this.#algorithm);
  }

  async #hashWhole(bytes: Uint8Array<ArrayBuffer>, algorithm: string): Promise<void> {
    const { digestOf } = await import("../io/digester.ts");
    this.#found = digestOf(bytes, algorithm);
  }

  /** Hashes what `update` gets from now on, if there is a digest to compare. */
  hashWith(newDigester: (algorithm: string) => Digester): void {
    if (this.#algorithm !== undefined) this.#digester = newDigester(this.#algorithm);
  }

  /** @throws DecoderError SIZE_MISMATCH as soon as there are too many bytes */
  update(bytes: Uint8Array): void {
    this.#add(bytes.length);
    this.#digester?.update(bytes);
  }

  #add(bytes: number): void {
    this.#count += bytes;
    const { size } = this.#expected;
    if (size !== undefined && this.#count > size) {
      throw new DecoderError(
        "SIZE_MISMATCH",
        `size mismatch: more bytes arrive than the ${size} in the descriptor`,
        { hint: CHANGED },
      );
    }
  }

  /** Call at the end, once the HMAC holds. @throws DecoderError DIGEST_MISMATCH */
  finish(): void {
    const { digest } = this.#expected;
    const found = this.#digester?.digest() ?? this.#found;
    if (found !== digest) {
      throw new DecoderError(
        "DIGEST_MISMATCH",
        `the layer's digest is ${found}, but the descriptor says ${digest}`,
        { hint: CHANGED },
      );
    }
  }

  /** The verdict "not authentic". */
  forged(): DecoderError {
    const { size } = this.#expected;
    const isCut = size !== undefined && this.#count < size;
    return notAuthentic("the layer", isCut ? `: only ${this.#count} of ${size} bytes arrived` : "");
  }
}

const CHANGED =
  "the layer was changed or cut after it was encrypted; pull it again, from a registry you trust";

/**
 * The error for a layer whose HMAC does not match. It never shows the computed HMAC, which a forger could use.
 * @param what names the layer
 */
export function notAuthentic(what: string, reason = ""): DecoderError {
  return new DecoderError("AUTHENTICATION", `${what} is not authentic${reason}: its HMAC does not match`, {
    hint: CHANGED,
  });
}
