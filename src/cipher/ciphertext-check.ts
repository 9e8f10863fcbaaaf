import { DecoderError } from "../errors.ts";
import type { Digester } from "../spec/digester.ts";

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
  readonly #digester: Digester | undefined;
  #count = 0;

  private constructor(expected: Expected, digester: Digester | undefined) {
    this.#expected = expected;
    this.#digester = digester;
  }

  /** @throws DecoderError BAD_DESCRIPTOR for a digest that can't be checked */
  static async create(expected: Expected): Promise<CiphertextCheck> {
    if (expected.digest === undefined) return new CiphertextCheck(expected, undefined);
    const [{ checkedDigest }, { Digester }] = await Promise.all([
      import("../spec/digest.ts"),
      import("../spec/digester.ts"),
    ]);
    return new CiphertextCheck(expected, new Digester(checkedDigest(expected.digest).algorithm));
  }

  /** Bytes so far. */
  get count(): number {
    return this.#count;
  }

  /** @throws DecoderError SIZE_MISMATCH as soon as there are too many bytes */
  update(bytes: Uint8Array): void {
    this.#count += bytes.length;
    const { size } = this.#expected;
    if (size !== undefined && this.#count > size) {
      throw new DecoderError(
        "SIZE_MISMATCH",
        `size mismatch: more bytes arrive than the ${size} in the descriptor`,
        { hint: CHANGED },
      );
    }
    this.#digester?.update(bytes);
  }

  /** Call at the end, once the HMAC holds. @throws DecoderError DIGEST_MISMATCH */
  finish(): void {
    const { digest } = this.#expected;
    const found = this.#digester?.digest();
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
