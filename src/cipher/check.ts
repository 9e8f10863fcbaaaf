import type { Hash } from "node:crypto";
import { DecoderError } from "../errors.ts";

/** What the descriptor says of the ciphertext. */
export interface Expected {
  /** Bytes; undefined when the descriptor doesn't say. */
  readonly size: number | undefined;
  /** "sha256:<hex>", only when it is to be checked. */
  readonly digest: string | undefined;
}

/** RFC 6234 names of OCI's registered digest algorithms. */
const DIGEST = /^(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$/;

/** Counts and, on demand, hashes the ciphertext, and compares with the descriptor. */
export class CiphertextCheck {
  readonly #expected: Expected;
  #hash: Hash | undefined;
  #count = 0;

  private constructor(expected: Expected, hash: Hash | undefined) {
    this.#expected = expected;
    this.#hash = hash;
  }

  /** @throws DecoderError BAD_DESCRIPTOR for a digest that can't be checked */
  static async create(expected: Expected): Promise<CiphertextCheck> {
    if (expected.digest === undefined) return new CiphertextCheck(expected, undefined);
    if (!DIGEST.test(expected.digest)) {
      throw new DecoderError(
        "BAD_DESCRIPTOR",
        "the descriptor's digest is none of sha256 or sha512, so it can't be checked",
      );
    }
    const { createHash } = await import("node:crypto");
    return new CiphertextCheck(expected, createHash(expected.digest.slice(0, expected.digest.indexOf(":"))));
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
    this.#hash?.update(bytes);
  }

  /** @throws DecoderError DIGEST_MISMATCH */
  finish(): void {
    const { digest } = this.#expected;
    if (this.#hash === undefined || digest === undefined) return;
    const found = `${digest.slice(0, digest.indexOf(":"))}:${this.#hash.digest("hex")}`;
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
