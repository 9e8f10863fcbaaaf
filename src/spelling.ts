/** Edits that a suggestion may differ by. A short word may have one for each four letters. */
const MOST_EDITS = 2;

/** " (did you mean encrypt?)", or "" if no name is similar to the word. */
export function didYouMean(word: string, names: readonly string[]): string {
  const [nearest] = names
    .filter((name) => Math.abs(name.length - word.length) <= MOST_EDITS)
    .map((name) => ({ name, distance: editDistance(word, name) }))
    .filter(({ distance }) => distance <= Math.min(word.length / 4, MOST_EDITS))
    .toSorted((a, b) => a.distance - b.distance);
  return nearest === undefined ? "" : ` (did you mean ${nearest.name}?)`;
}

/** The Levenshtein distance in which swapping two neighbours is one edit ("optimal string alignment"). */
function editDistance(a: string, b: string): number {
  const rows: number[][] = [Array.from({ length: b.length + 1 }, (_, j) => j)];
  const at = (i: number, j: number) => rows[i]?.[j] ?? Number.POSITIVE_INFINITY;
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    rows.push(row);
    for (let j = 1; j <= b.length; j++) {
      const replaced = at(i - 1, j - 1) + (a[i - 1] === b[j - 1] ? 0 : 1);
      const isSwapped = a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      const swapped = isSwapped ? at(i - 2, j - 2) + 1 : replaced;
      row.push(Math.min(at(i - 1, j) + 1, at(i, j - 1) + 1, replaced, swapped));
    }
  }
  return at(a.length, b.length);
}
