import * as LIMITS from "../../system-limits.ts";

/** Matches one character of a text, or only its place in it. */
type Step =
  | { readonly kind: "character"; readonly is: RegExp }
  | { readonly kind: "place"; readonly holds: (text: readonly string[], at: number) => boolean }
  /** Continues at each of these steps. */
  | { readonly kind: "fork"; to: readonly number[] };

/**
 * A regular expression that matches a whole text, in time proportional to both lengths. JavaScript's own engine backtracks:
 * an attacker, who chooses the names in a certificate, could make `(a+)+` run for hours.
 */
export class LinearRegExp {
  readonly source: string;
  readonly #steps: readonly Step[];

  /**
   * @param source an expression that JavaScript accepts with the flag `u`, without look-around, backreferences and flags
   * @throws SyntaxError for an expression of too many steps
   */
  constructor(source: string, flags: "u" | "iu") {
    this.source = source;
    this.#steps = new Compiler(source, flags).steps;
  }

  test(text: string): boolean {
    const characters = [...text];
    let states = this.#reach([0], characters, 0);
    for (const [at, character] of characters.entries()) {
      const next: number[] = [];
      for (const state of states) {
        const step = this.#steps[state];
        if (step?.kind === "character" && step.is.test(character)) next.push(state + 1);
      }
      states = this.#reach(next, characters, at + 1);
    }
    return states.has(this.#steps.length);
  }

  /** All steps that can be reached without another character. */
  #reach(from: readonly number[], text: readonly string[], at: number): Set<number> {
    const reached = new Set(from);
    // A set that grows is iterated to its new end.
    for (const state of reached) {
      const step = this.#steps[state];
      if (step?.kind === "fork") for (const to of step.to) reached.add(to);
      if (step?.kind === "place" && step.holds(text, at)) reached.add(state + 1);
    }
    return reached;
  }
}

/** The next token: an escape, a class, a group's start, or one character. */
const TOKEN =
  /\\(?:[pP]\{[^}]*\}|u\{[^}]*\}|u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|c[A-Za-z]|.)|\[(?:\\.|[^\]\\])*\]|\((?:\?:|\?<[^>]*>)?|./suy;
const REPETITION = /(?:([*+?])|\{(\d+)(?:(,)(\d*))?\})\??/y;

/** Translates an expression into steps (K. Thompson, "Regular Expression Search Algorithm", 1968). */
class Compiler {
  readonly #source: string;
  readonly #flags: string;
  readonly #word: RegExp;
  readonly #steps: Step[] = [];
  #at = 0;

  constructor(source: string, flags: string) {
    this.#source = source;
    this.#flags = flags;
    this.#word = new RegExp("^\\w$", flags);
    this.#alternatives();
  }

  get steps(): readonly Step[] {
    return this.#steps;
  }

  /** `a|b|c`, up to the end or a group's end. */
  #alternatives(): void {
    const start = this.#steps.length;
    this.#sequence();
    if (this.#source[this.#at] !== "|") return;
    this.#at += 1;
    const first = this.#steps.splice(start);
    const fork = this.#fork();
    this.#append(first, start);
    const exit = this.#fork();
    fork.to = [start + 1, this.#steps.length];
    this.#alternatives();
    exit.to = [this.#steps.length];
  }

  #sequence(): void {
    for (;;) {
      const start = this.#steps.length;
      const token = this.#take(TOKEN)?.[0];
      if (token === undefined) return;
      if (token === "|" || token === ")") {
        this.#at -= 1;
        return;
      }
      if (token.startsWith("(")) {
        this.#alternatives();
        this.#at += 1;
      } else this.#add(this.#single(token));
      const repetition = this.#take(REPETITION);
      if (repetition !== undefined) this.#repeat(start, repetition);
    }
  }

  #single(token: string): Step {
    if (token === "^") return { kind: "place", holds: (_text, at) => at === 0 };
    if (token === "$") return { kind: "place", holds: (text, at) => at === text.length };
    if (token === "\\b") return { kind: "place", holds: (text, at) => this.#isBoundary(text, at) };
    if (token === "\\B") return { kind: "place", holds: (text, at) => !this.#isBoundary(text, at) };
    return { kind: "character", is: new RegExp(`^${token}$`, this.#flags) };
  }

  #isBoundary(text: readonly string[], at: number): boolean {
    return this.#word.test(text[at - 1] ?? "") !== this.#word.test(text[at] ?? "");
  }

  /** Replaces the steps from `start` by as many copies as are repeated. */
  #repeat(start: number, [, sign, least, comma, most]: RegExpExecArray): void {
    const body = this.#steps.splice(start);
    // Otherwise `(){1000000000}` would be copied without end, since nothing is added.
    if (body.length === 0) return;
    const minimum = sign === undefined ? Number(least) : sign === "+" ? 1 : 0;
    const isEndless = sign === undefined ? comma !== undefined && most === "" : sign !== "?";
    const maximum = sign === "?" ? 1 : comma === undefined ? minimum : Number(most);
    for (let i = 0; i < minimum; i++) this.#append(body, start);
    if (isEndless) {
      const at = this.#steps.length;
      const fork = this.#fork();
      this.#append(body, start);
      this.#fork().to = [at];
      fork.to = [at + 1, this.#steps.length];
      return;
    }
    const forks: { to: readonly number[] }[] = [];
    for (let i = minimum; i < maximum; i++) {
      forks.push(this.#fork([this.#steps.length + 1]));
      this.#append(body, start);
    }
    for (const fork of forks) fork.to = [...fork.to, this.#steps.length];
  }

  /** Adds a copy of steps that began at `from`. */
  #append(steps: readonly Step[], from: number): void {
    const shift = this.#steps.length - from;
    for (const step of steps)
      this.#add(step.kind === "fork" ? { kind: "fork", to: step.to.map((it) => it + shift) } : step);
  }

  #fork(to: readonly number[] = []): { to: readonly number[] } {
    const fork = { kind: "fork", to } as { readonly kind: "fork"; to: readonly number[] };
    this.#add(fork);
    return fork;
  }

  #add(step: Step): void {
    if (this.#steps.length >= LIMITS.policyRegexpSteps)
      throw new SyntaxError(
        `it has more than ${LIMITS.policyRegexpSteps} steps when repetitions are written out`,
      );
    this.#steps.push(step);
  }

  #take(pattern: RegExp): RegExpExecArray | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#source) ?? undefined;
    if (found !== undefined) this.#at = pattern.lastIndex;
    return found;
  }
}
