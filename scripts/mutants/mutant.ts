import type { AcceptedMutant } from "./list.ts";

/** One small wrong change to a source file, such as a tired engineer makes. */
export interface Mutant {
  /** "src/cipher/ciphertext-check.ts" */
  readonly file: string;
  /** Offset of the replaced text, in UTF-16 units. */
  readonly start: number;
  readonly from: string;
  readonly to: string;
}

export function lineOf(source: string, start: number): number {
  return source.slice(0, start).split("\n").length;
}

/** Whether one of the accepted changes is this change of a source. */
export function isIn(accepted: readonly AcceptedMutant[], { file, start, from, to }: Mutant, source: string) {
  const line = source.split("\n")[lineOf(source, start) - 1]?.trim();
  return accepted.some(
    (it) =>
      it.file === file &&
      it.line === line &&
      it.from === from &&
      it.to === to &&
      source.slice(0, start).endsWith(it.after ?? ""),
  );
}

/** @throws Error if the source does not have the text at that offset, for example because the file changed meanwhile */
export function mutated(source: string, { file, start, from, to }: Mutant): string {
  if (!source.startsWith(from, start))
    throw new Error(`${file} changed: it has no ${JSON.stringify(from)} at ${start}`);
  return source.slice(0, start) + to + source.slice(start + from.length);
}
