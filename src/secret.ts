const HIDDEN = "[secret]";

/** Bytes that must not be printed. `destroy` zeroes them, and any later use throws. */
export class Secret {
  #bytes: Uint8Array<ArrayBuffer> | null;

  /** Takes ownership of the bytes. The caller must not use them any more. */
  constructor(bytes: Uint8Array<ArrayBuffer>) {
    this.#bytes = bytes;
  }

  get bytes(): Uint8Array<ArrayBuffer> {
    if (this.#bytes === null) throw new Error("bug: a secret was used after it was destroyed");
    return this.#bytes;
  }

  destroy(): void {
    this.#bytes?.fill(0);
    this.#bytes = null;
  }

  toString(): string {
    return HIDDEN;
  }

  toJSON(): string {
    return HIDDEN;
  }

  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return HIDDEN;
  }
}
