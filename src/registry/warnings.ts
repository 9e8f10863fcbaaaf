/** RFC 7234 §5.5. Code 299 is the one that OCI registries send. */
const WARNING = /(?:^|,)[ \t]*299 \S+ "((?:[^"\\]|\\.)*)"/g;
/** A registry may say something else with each answer. */
const MOST = 8;

/** What a registry wants its users to read. Each text is passed on once. */
export class Warnings {
  readonly #passed = new Set<string>();
  readonly #pass: ((text: string) => void) | undefined;

  constructor(pass: ((text: string) => void) | undefined) {
    this.#pass = pass;
  }

  /** @param header the Warning field of an answer */
  read(header: string | undefined): void {
    for (const [, quoted = ""] of (header ?? "").matchAll(WARNING)) this.add(quoted.replace(/\\(.)/g, "$1"));
  }

  add(text: string): void {
    if (this.#passed.has(text) || this.#passed.size >= MOST) return;
    this.#passed.add(text);
    this.#pass?.(text);
  }
}
