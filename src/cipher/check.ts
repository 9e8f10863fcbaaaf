import { DecoderError } from "../errors.ts";
import type { Digester } from "../spec/digester.ts";

/** What the descriptor says of the ciphertext. */
export interface Expected {
  /** Bytes; undefined when the descriptor doesn't say. */
  readonly size: number | undefined;
  /** "sha256:<hex>", only when it is to be checked. */
  readonly digest: string | undefined;
}

/** Counts and, on demand, hashes the ciphertext, and compares with the descriptor. */
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
        `size mismatch: more bytes arrive than the ${size} that the descriptor says`,
        {
          hint: CHANGED,
        },
      );
    }
    this.#digester?.update(bytes);
  }

  /** @throws DecoderError DIGEST_MISMATCH */
  finish(): void {
    const { digest } = this.#expected;
    const found = this.#digester?.digest();
    if (found !== digest) {
      throw new DecoderError(
        "DIGEST_MISMATCH",
        `the layer's digest is ${found}, the descriptor says ${digest}`,
        { hint: CHANGED },
      );
    }
  }

  /** The verdict "not authentic", which tells no more than that, and never the computed MAC. */
  forged(): DecoderError {
    const { size } = this.#expected;
    const cut =
      size !== undefined && this.#count < size ? `: only ${this.#count} of ${size} bytes arrived` : "";
    return new DecoderError("AUTHENTICATION", `the layer is not authentic${cut}: its HMAC does not match`, {
      hint: CHANGED,
    });
  }
}

const CHANGED =
  "the layer was changed or cut after it was encrypted; pull it again, from a registry you trust";
