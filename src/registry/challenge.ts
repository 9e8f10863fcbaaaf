/** What a server asks for in WWW-Authenticate: "Bearer" with realm, service and scope, or "Basic". */
export interface Challenge {
  /** In lower case. */
  readonly scheme: string;
  /** Names in lower case. */
  readonly parameters: ReadonlyMap<string, string>;
}

/** RFC 9110 §5.6.2 and §11.2. */
const TOKEN = /[!#$%&'*+.^_`|~0-9A-Za-z-]+/y;
const TOKEN68 = /[A-Za-z0-9._~+/-]+=*(?=[ \t]*(?:,|$))/y;
const QUOTED = /"((?:[^"\\]|\\.)*)"/y;
const SPACE = /[ \t]*/y;
/** Between challenges and parameters there may be empty elements (§5.6.1). */
const SEPARATORS = /[ \t,]*/y;

/** The challenges of a header in order, or of several headers joined by commas. What is malformed ends the list. */
export function parseChallenges(header: string): Challenge[] {
  const reader = new Reader(header);
  const challenges: Challenge[] = [];
  for (;;) {
    reader.take(SEPARATORS);
    const scheme = reader.take(TOKEN);
    if (scheme === undefined) return challenges;
    challenges.push({ scheme: scheme.toLowerCase(), parameters: parameters(reader) });
  }
}

function parameters(reader: Reader): Map<string, string> {
  const found = new Map<string, string>();
  reader.take(SPACE);
  for (;;) {
    const parameter = reader.attempt(readParameter);
    // "Negotiate dG9rZW4=" has a value without a name, which nothing here needs.
    if (parameter === undefined) {
      if (found.size === 0) reader.take(TOKEN68);
      return found;
    }
    // RFC 9110 §11.2: a name must occur once; the first is kept, so that a second can't replace it.
    const [name, value] = parameter;
    if (!found.has(name)) found.set(name, value);
    reader.take(SEPARATORS);
  }
}

function readParameter(reader: Reader): [name: string, value: string] | undefined {
  const name = reader.take(TOKEN);
  reader.take(SPACE);
  if (name === undefined || reader.take(/=/y) === undefined) return undefined;
  reader.take(SPACE);
  const quoted = reader.take(QUOTED);
  const value = quoted === undefined ? reader.take(TOKEN) : quoted.slice(1, -1).replace(/\\(.)/g, "$1");
  return value === undefined ? undefined : [name.toLowerCase(), value];
}

class Reader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  /** What a sticky pattern matches here. */
  take(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0];
    this.#at += found?.length ?? 0;
    return found;
  }

  /** Goes back to where it was when `read` finds nothing. */
  attempt<T>(read: (reader: Reader) => T | undefined): T | undefined {
    const start = this.#at;
    const found = read(this);
    if (found === undefined) this.#at = start;
    return found;
  }
}
