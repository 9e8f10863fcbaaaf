/** What the layer check reads of a TypeScript file: its words, and what it imports. No types, no syntax tree. */

export interface Token {
  readonly kind: "word" | "text" | "mark";
  /** Of a text, what stands between the quotes. Of a template with `${}`, the mark "`". */
  readonly value: string;
  readonly line: number;
}

export interface Import {
  readonly line: number;
  /** undefined: `import()` of something else than one literal. */
  readonly path: string | undefined;
  readonly lazy: boolean;
}

const TOKEN = new RegExp(
  [
    /(?<space>\s+|\/\/[^\n]*|\/\*[\s\S]*?\*\/)/,
    /(?<word>[\p{ID_Start}$_#][\p{ID_Continue}$]*|\d[\w.]*)/u,
    /"(?<double>(?:\\[\s\S]|[^"\\\n])*)"/,
    /'(?<single>(?:\\[\s\S]|[^'\\\n])*)'/,
    /`(?<template>(?:\\[\s\S]|\$(?!\{)|[^`\\$])*)`/,
    /(?<mark>[\s\S])/,
  ]
    .map((pattern) => pattern.source)
    .join("|"),
  "yu",
);
const REGEX = /\/(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/[\\\n])+\/[a-z]*/y;
/** The rest of a template up to its end or its next `${`. */
const TEMPLATE_PART = /(?:\\[\s\S]|\$(?!\{)|[^`\\$])*(?:`|\$\{)/y;
/** After these words a slash starts a regular expression; after any other word, `)`, `]` and `}` it divides. */
const BEFORE_REGEX = new Set([
  "return",
  "typeof",
  "case",
  "in",
  "of",
  "await",
  "yield",
  "void",
  "else",
  "do",
]);

/** The tokens of a file without comments. Regular expressions, and templates' own text, are left out. */
export function tokensOf(source: string): Token[] {
  const tokens: Token[] = [];
  /** For each template that is open: how many braces are open inside its `${`. */
  const templates: number[] = [];
  let [at, line] = [0, 1];

  const take = (pattern: RegExp): RegExpExecArray | null => {
    pattern.lastIndex = at;
    const match = pattern.exec(source);
    if (match === null) return null;
    at = pattern.lastIndex;
    line += match[0].split("\n").length - 1;
    return match;
  };
  const templatePart = () => {
    if (take(TEMPLATE_PART)?.[0].endsWith("`")) templates.pop();
  };

  while (at < source.length) {
    const start = line;
    if (source[at] === "/" && startsRegex(tokens.at(-1)) && !/^\/[/*]/.test(source.slice(at, at + 2))) {
      if (take(REGEX) !== null) {
        tokens.push({ kind: "text", value: "", line: start });
        continue;
      }
    }
    const { space, word, double, single, template, mark } = take(TOKEN)?.groups ?? {};
    const text = double ?? single ?? template;
    if (text !== undefined) tokens.push({ kind: "text", value: text, line: start });
    else if (word !== undefined) tokens.push({ kind: "word", value: word, line: start });
    else if (mark !== undefined && space === undefined) {
      const open = templates.at(-1);
      if (mark === "`") {
        tokens.push({ kind: "mark", value: mark, line: start });
        templates.push(0);
        templatePart();
      } else if (mark === "}" && open === 0) {
        templatePart();
        tokens.push({ kind: "text", value: "", line: start });
      } else {
        if (open !== undefined && mark === "{") templates[templates.length - 1] = open + 1;
        if (open !== undefined && mark === "}") templates[templates.length - 1] = open - 1;
        tokens.push({ kind: "mark", value: mark, line: start });
      }
    }
  }
  return tokens;
}

function startsRegex(before: Token | undefined): boolean {
  if (before === undefined) return true;
  if (before.kind === "word") return BEFORE_REGEX.has(before.value);
  return before.kind === "mark" && !")]}".includes(before.value);
}

/** `import … from "x"`, `import "x"`, `export … from "x"` and `import("x")`, type imports included. */
export function importsOf(tokens: readonly Token[]): Import[] {
  const imports: Import[] = [];
  for (const [i, { kind, value, line }] of tokens.entries()) {
    if (kind !== "word" || (value !== "import" && value !== "from")) continue;
    const [before, next, afterNext] = [tokens[i - 1], tokens[i + 1], tokens[i + 2]];
    if (before?.value === "." && before.kind === "mark") continue; // Buffer.from, Array.from
    if (next?.kind === "text") imports.push({ line, path: next.value, lazy: false });
    else if (value === "import" && next?.value === "(") {
      const literal = afterNext?.kind === "text" && [")", ","].includes(tokens[i + 3]?.value ?? "");
      imports.push({ line, path: literal ? afterNext.value : undefined, lazy: true });
    }
  }
  return imports;
}
