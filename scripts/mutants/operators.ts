/** Derives mutants from a file's syntax tree. */

import { type Node, SyntaxKind } from "typescript/unstable/ast";
import { API } from "typescript/unstable/sync";
import type { Mutant } from "./mutant.ts";

const SWAPS: ReadonlyMap<SyntaxKind, string> = new Map([
  [SyntaxKind.EqualsEqualsEqualsToken, "!=="],
  [SyntaxKind.ExclamationEqualsEqualsToken, "==="],
  [SyntaxKind.LessThanToken, "<="],
  [SyntaxKind.LessThanEqualsToken, "<"],
  [SyntaxKind.GreaterThanToken, ">="],
  [SyntaxKind.GreaterThanEqualsToken, ">"],
  [SyntaxKind.AmpersandAmpersandToken, "||"],
  [SyntaxKind.BarBarToken, "&&"],
  [SyntaxKind.MinusToken, "+"],
  [SyntaxKind.AsteriskToken, "+"],
  [SyntaxKind.TrueKeyword, "false"],
  [SyntaxKind.FalseKeyword, "true"],
]);
const NAMES: Readonly<Record<string, string>> = { every: "some", some: "every", min: "max", max: "min" };
/** A larger number is a limit. Its test must state the number itself. */
const SMALL_NUMBER = 16;

/** Parses the files of a project. @returns file → its mutants, in the order of the text */
export function mutantsOf(project: string, files: readonly string[]): Map<string, Mutant[]> {
  const api = new API({ cwd: project });
  try {
    const [program] = api
      .updateSnapshot({ openProjects: [`${project}/tsconfig.json`] })
      .getProjects()
      .map((it) => it.program);
    return new Map(
      files.map((file) => {
        const tree = program?.getSourceFile(`${project}/${file}`);
        if (tree === undefined) throw new Error(`${file} is not part of the project`);
        const found: Mutant[] = [];
        visit(tree, tree.text, (start, from, to) => found.push({ file, start, from, to }));
        return [file, found.sort((a, b) => a.start - b.start)];
      }),
    );
  } finally {
    api.close();
  }
}

type Report = (start: number, from: string, to: string) => void;

function visit(node: Node, source: string, report: Report): void {
  if (isType(node)) return;
  const start = node.getStart();
  const text = source.slice(start, node.end);
  const to = replacement(node, text);
  if (to !== undefined) report(start, text, to);
  node.forEachChild((child) => visit(child, source, report));
}

/** Types, imports and names do not affect behaviour. */
function isType(node: Node): boolean {
  const name = SyntaxKind[node.kind] ?? "";
  return /^(?:Import|ExportDeclaration|Interface|TypeAlias|.*Type$|TypeLiteral|TypeReference)/.test(name);
}

function replacement(node: Node, text: string): string | undefined {
  const swapped = SWAPS.get(node.kind);
  if (swapped !== undefined) return swapped;
  switch (node.kind) {
    case SyntaxKind.PrefixUnaryExpression:
      return text.startsWith("!") ? text.slice(1) : undefined;
    case SyntaxKind.ExpressionStatement:
      return /^(?:await )?[\w.#?]+\(/.test(text) ? ";" : undefined;
    case SyntaxKind.ThrowStatement:
      return ";";
    case SyntaxKind.IfStatement: {
      const guarded = /^if \((?<condition>[^\n]+)\) (?:throw|return)\b/.exec(text)?.groups?.["condition"];
      return guarded === undefined ? undefined : text.replace(guarded, "false");
    }
    case SyntaxKind.NumericLiteral: {
      if (text.startsWith("0o")) return text === "0o777" ? "0o700" : "0o777"; // a file's mode
      const number = Number(text.replaceAll("_", ""));
      return String(number > SMALL_NUMBER ? number * 1000 : number + 1);
    }
    case SyntaxKind.RegularExpressionLiteral:
      if (text.startsWith("/^")) return `/${text.slice(2)}`;
      return text.replace(/\$\/([a-z]*)$/, "/$1") === text ? undefined : text.replace(/\$\/([a-z]*)$/, "/$1");
    case SyntaxKind.Identifier:
      return Object.hasOwn(NAMES, text) && node.parent.kind === SyntaxKind.PropertyAccessExpression
        ? NAMES[text]
        : undefined;
    case SyntaxKind.StringLiteral:
      return text === '"wx"' ? '"w"' : undefined;
    default:
      return undefined;
  }
}
