import { join } from "node:path";
import { DecoderError } from "../../errors.ts";
import * as LIMITS from "../../system-limits.ts";
import { digestFile } from "./file.ts";

export type SumAlgorithm = "sha256" | "sha512";

/** One line of a checksum file. */
interface Sum {
  /** Path below the folder of the files, as the line has it. */
  readonly name: string;
  /** Lower-case hexadecimal. */
  readonly hex: string;
}

export interface SumResult {
  readonly name: string;
  readonly result: "matches" | "differs" | "missing" | "unreadable";
}

const HEX_DIGITS: Readonly<Record<SumAlgorithm, number>> = { sha256: 64, sha512: 128 };
/** `HEX  NAME` of sha256sum, with ` *` for binary mode, and `HEX NAME` of the BSDs' `sha256 -r`. */
const GNU_LINE = /^[ \t]*(?<hex>[0-9A-Fa-f]+) [ *]?(?<name>.+)$/s;
/** `SHA256 (NAME) = HEX` of the BSDs and of `sha256sum --tag`; `openssl dgst` leaves two spaces out. */
const TAG_LINE: Readonly<Record<SumAlgorithm, RegExp>> = {
  sha256: /^[ \t]*SHA256 ?\((?<name>.+)\) ?= (?<hex>[0-9A-Fa-f]+)$/s,
  sha512: /^[ \t]*SHA512 ?\((?<name>.+)\) ?= (?<hex>[0-9A-Fa-f]+)$/s,
};
/** sha256sum writes a backslash before a line whose name has escapes. */
const ESCAPED_LINE = /^[ \t]*\\/;
const ESCAPED_NAME = /^(?:[^\\]|\\[\\nr])+$/;
const ESCAPES: Readonly<Record<string, string>> = { "\\\\": "\\", "\\n": "\n", "\\r": "\r" };
/** sha256sum ignores empty lines and comments. */
const IGNORED_LINE = /^(?:#|$)/;

/**
 * Reads a checksum file. Every line must be understood, as with `sha256sum --check --strict`: what is passed over is not
 * checked.
 * @param file for messages
 * @throws DecoderError CONFIG for a file without sums, or with a line that is not one; LIMIT
 */
export function readSums(bytes: Uint8Array, algorithm: SumAlgorithm, file: string): Sum[] {
  const lines = Buffer.from(bytes)
    .toString("utf8")
    .split("\n")
    .map((line) => (line.endsWith("\r") ? line.slice(0, -1) : line));
  if (lines.at(-1) === "") lines.pop();
  if (lines.length > LIMITS.sums)
    throw new DecoderError("LIMIT", `${file} has more than ${LIMITS.sums} lines`);
  const sums = new Map<string, string>();
  for (const [index, line] of lines.entries()) {
    if (IGNORED_LINE.test(line)) continue;
    const { name, hex } = readLine(line, algorithm, `line ${index + 1} of ${file}`);
    if ((sums.get(name) ?? hex) !== hex) throw bad(file, "has two different sums of one file");
    sums.set(name, hex);
  }
  if (sums.size === 0) throw bad(file, "has no checksum: nothing was checked");
  return [...sums].map(([name, hex]) => ({ name, hex }));
}

function readLine(line: string, algorithm: SumAlgorithm, where: string): Sum {
  const isEscaped = ESCAPED_LINE.test(line);
  const text = isEscaped ? line.replace("\\", "") : line;
  const { hex = "", name: written = "" } =
    (GNU_LINE.exec(text) ?? TAG_LINE[algorithm].exec(text))?.groups ?? {};
  const name = isEscaped ? unescaped(written) : written;
  if (hex.length !== HEX_DIGITS[algorithm] || name === "") {
    throw bad(where, `is not a ${algorithm} sum and a file name`, {
      hint: "sha512 sums need --algorithm sha512; text that is not a comment (#) is refused",
    });
  }
  if (name.startsWith("/") || name.split("/").includes(".."))
    throw bad(where, "names a path outside the folder of the files");
  return { name, hex: hex.toLowerCase() };
}

/** @returns "" for a backslash that escapes nothing */
function unescaped(name: string): string {
  return ESCAPED_NAME.test(name) ? name.replaceAll(/\\./g, (it) => ESCAPES[it] ?? it) : "";
}

/**
 * Compares files with their sums.
 * @param folder what the names are relative to
 * @returns a result for each sum, in their order
 */
export function compareSums(sums: readonly Sum[], algorithm: SumAlgorithm, folder: string): SumResult[] {
  return sums.map(({ name, hex }) => ({ name, result: compare(join(folder, name), algorithm, hex) }));
}

function compare(path: string, algorithm: SumAlgorithm, hex: string): SumResult["result"] {
  try {
    return digestFile(path, algorithm) === `${algorithm}:${hex}` ? "matches" : "differs";
  } catch (error) {
    if (!(error instanceof DecoderError)) throw error;
    return error.code === "NOT_FOUND" ? "missing" : "unreadable";
  }
}

function bad(what: string, problem: string, details: { hint?: string } = {}): DecoderError {
  return new DecoderError("CONFIG", `${what} ${problem}`, details);
}
