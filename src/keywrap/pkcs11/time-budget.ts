import { DecoderError } from "../../errors.ts";

/** All answers until a packet opens may take this many times as long as one. */
const ANSWERS = 2;

/** What modules may take until a packet opens, all calls together: an image may have many packets, and a token be slow. */
export class TimeBudget {
  readonly #answerMs: number;
  #leftMs: number;

  /** @param answerMs of one call */
  constructor(answerMs: number) {
    this.#answerMs = answerMs;
    this.#leftMs = ANSWERS * answerMs;
  }

  restart(): void {
    this.#leftMs = ANSWERS * this.#answerMs;
  }

  /** @throws DecoderError LIMIT when all of it has been used */
  async measure<T>(work: (timeoutMs: number) => Promise<T>): Promise<T> {
    if (this.#leftMs <= 0)
      throw new DecoderError("LIMIT", "the PKCS#11 tokens took too long, and none opened the layer");
    const start = performance.now();
    try {
      return await work(Math.min(this.#leftMs, this.#answerMs));
    } finally {
      this.#leftMs -= performance.now() - start;
    }
  }
}
