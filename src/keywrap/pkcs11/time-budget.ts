import { PieceBudget } from "../../budget.ts";
import { DecoderError } from "../../errors.ts";

/** All answers until a packet opens may take this many times as long as one. */
const ANSWERS = 2;

/** What modules may take until a packet opens, all calls together: an image may have many packets, and a token be slow. */
export class TimeBudget {
  readonly #answerMs: number;
  readonly #budget: PieceBudget;

  /** @param answerMs of one call */
  constructor(answerMs: number) {
    this.#answerMs = answerMs;
    this.#budget = new PieceBudget({ clockMs: ANSWERS * answerMs });
  }

  restart(): void {
    this.#budget.restart();
  }

  /** @throws DecoderError LIMIT when all of it has been used */
  async measure<T>(work: (timeoutMs: number) => Promise<T>): Promise<T> {
    const left = this.#budget.clockMsLeft;
    if (left <= 0)
      throw new DecoderError("LIMIT", "the PKCS#11 tokens took too long, and none opened the layer");
    const end = this.#budget.begin();
    try {
      return await work(Math.min(left, this.#answerMs));
    } finally {
      end();
    }
  }
}
