/** Checks the layering of src/ (who may import whom, types included). `npm run layers`; one line per violation. */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, posix } from "node:path";
import { type Import, importsOf, type Token, tokensOf } from "./source.ts";

const LEAVES = ["errors", "limits", "secret", "text", "budget"];
const BYTES = ["encoding", "spec", ...LEAVES];
const SYSTEM = ["process", "io", ...BYTES];
const CRYPTO = ["keywrap", "cipher", "keys", ...SYSTEM];
const WORLD = ["containerd", "registry", "transport", "layer", ...CRYPTO];

/** A file or folder of src/ → what it may import besides itself. Unlisted means nothing. */
const MAY_IMPORT: ReadonlyMap<string, readonly string[]> = new Map([
  ["errors", []],
  ["limits", []],
  ["secret", []],
  ["text", []],
  ["budget", ["errors", "limits"]],
  ["exit", ["errors", "limits", "text"]],
  ["encoding", LEAVES],
  ["spec", ["encoding", ...LEAVES]],
  ["io", ["process", ...BYTES]],
  ["process", ["io", ...BYTES]],
  ["keys", SYSTEM],
  ["cipher", SYSTEM],
  ["keywrap", ["keys", ...SYSTEM]],
  ["containerd", ["keys", ...SYSTEM]],
  ["registry", SYSTEM],
  ["transport", ["registry", ...SYSTEM]],
  ["layer", CRYPTO],
  ["image", ["transport", "layer", ...CRYPTO]],
  ["trust", ["transport", "registry", "containerd", ...SYSTEM]],
  ["tenants", WORLD],
  ["decoder", ["tenants", "trust", "containerd", "layer", ...CRYPTO]],
  ["node", ["decoder", "tenants", "trust", "image", ...WORLD]],
  ["cli", ["node", "decoder", "tenants", "trust", "image", ...WORLD]],
  ["main", ["decoder", "exit", "cli", ...SYSTEM]],
]);
/** Each layer of every decoder call pays for what main imports at once. */
const ONLY_LAZY_FROM_MAIN = "cli";
/** The one scheme that every start may pay for: nearly all layers are wrapped with it. */
const HOT_SCHEME = "jwe";

const MAY_USE_PROCESS = new Set(["main", "exit", "process", "io", "containerd", "cli"]);
const FORBIDDEN: ReadonlyMap<string, string> = new Map([
  ["console", "stdout is the layer"],
  ["Bun", "the sources run on Node too"],
]);

interface Place {
  /** "keys", "main": the first part of the path below src/. */
  readonly unit: string;
  /** "jwe" for keywrap/jwe/…; undefined elsewhere. */
  readonly scheme: string | undefined;
  /** The path below src/. */
  readonly file: string;
}

function placeOf(file: string): Place {
  const parts = file.split("/");
  const unit = parts.length === 1 ? file.replace(/\.d\.ts$|\.ts$/, "") : (parts[0] ?? "");
  return { unit, scheme: unit === "keywrap" && parts.length > 2 ? parts[1] : undefined, file };
}

/** @param files path below src/ → text. @returns "keys/pem.ts:3: …", in the order of the files */
export function violations(files: ReadonlyMap<string, string>): string[] {
  const found: string[] = [];
  /** Package → the folder that has imported it, and where. */
  const owners = new Map<string, { folder: string; file: string }>();
  for (const [file, source] of files) {
    const place = placeOf(file);
    const tokens = tokensOf(source);
    const report = (line: number, what: string) => found.push(`${file}:${line}: ${what}`);
    for (const it of importsOf(tokens)) {
      const problem = it.path?.startsWith(".")
        ? relativeProblem(place, it, placeOf(posix.join(posix.dirname(file), it.path)))
        : packageProblem(place, it.path, owners);
      if (problem !== undefined) report(it.line, problem);
    }
    for (const [line, what] of wordProblems(place, tokens)) report(line, what);
  }
  return found;
}

function relativeProblem(from: Place, { lazy }: Import, to: Place): string | undefined {
  if (to.file.startsWith("..")) return `imports ${to.file}, which is outside src/`;
  const allowed = MAY_IMPORT.get(from.unit);
  if (allowed === undefined) return `${from.unit} has no place among the layers: add it to the layer check`;
  if (to.unit !== from.unit && !allowed.includes(to.unit))
    return `${from.unit} must not import ${to.unit} (${to.file})`;
  if (to.scheme !== undefined && to.scheme !== from.scheme) {
    if (from.scheme !== undefined)
      return `the scheme ${from.scheme} must not import its sibling ${to.scheme}`;
    if (from.file !== "keywrap/schemes.ts") return `only keywrap/schemes.ts may name a scheme (${to.file})`;
    if (!lazy && to.scheme !== HOT_SCHEME) return `a scheme is loaded by import() only (${to.file})`;
  }
  if (from.scheme !== undefined && to.unit === "keywrap" && to.scheme === undefined) {
    if (to.file !== "keywrap/scheme.ts") return `a scheme sees of keywrap only scheme.ts, not ${to.file}`;
  }
  if (from.unit === "main" && to.unit === ONLY_LAZY_FROM_MAIN && !lazy)
    return "main must load the command line by import()";
  return undefined;
}

function packageProblem(
  from: Place,
  path: string | undefined,
  owners: Map<string, { folder: string; file: string }>,
): string | undefined {
  if (path === undefined) return "import() needs one literal path";
  if (path === "node:process" && !MAY_USE_PROCESS.has(from.unit)) return `${from.unit} must not use process`;
  if (path.startsWith("node:")) return undefined;
  const name = path.split("/", path.startsWith("@") ? 2 : 1).join("/");
  const folder = posix.dirname(from.file);
  const owner = owners.get(name);
  if (owner === undefined) owners.set(name, { folder, file: from.file });
  else if (owner.folder !== folder) return `the package ${name} is ${owner.folder}'s alone (${owner.file})`;
  return undefined;
}

function wordProblems({ unit }: Place, tokens: readonly Token[]): [number, string][] {
  const found: [number, string][] = [];
  for (const [i, { kind, value, line }] of tokens.entries()) {
    if (kind !== "word" || !isGlobal(tokens, i)) continue;
    const why = FORBIDDEN.get(value);
    if (why !== undefined) found.push([line, `no ${value}: ${why}`]);
    if (value === "process" && !MAY_USE_PROCESS.has(unit)) found.push([line, `${unit} must not use process`]);
  }
  return found;
}

/** A name by itself or of globalThis, rather than a member of something or a member's name in an object. */
function isGlobal(tokens: readonly Token[], i: number): boolean {
  if (tokens[i - 1]?.value === "." && tokens[i - 1]?.kind === "mark")
    return tokens[i - 2]?.value === "globalThis";
  return tokens[i + 1]?.value !== ":" || !["{", ","].includes(tokens[i - 1]?.value ?? "");
}

if (import.meta.main) {
  const root = join(process.argv[2] ?? dirname(import.meta.dirname), "src");
  const paths = readdirSync(root, { recursive: true, encoding: "utf8" }).filter((path) =>
    path.endsWith(".ts"),
  );
  const files = new Map(paths.sort().map((path) => [path, readFileSync(join(root, path), "utf8")]));
  const found = violations(files);
  for (const line of found) process.stderr.write(`src/${line}\n`);
  if (found.length > 0 || files.size === 0) process.exitCode = 1;
}
