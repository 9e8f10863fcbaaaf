import { expect, test } from "vitest";
import { didYouMean } from "../../src/spelling.ts";

test.each<[word: string, names: string[], suggested: string]>([
  ["polcy", ["verdict_dir", "policy"], " (did you mean policy?)"],
  ["encrpyt", ["decrypt", "encrypt"], " (did you mean encrypt?)"],
  ["registires_dd", ["registries_d"], " (did you mean registries_d?)"],
  ["abcdefgh", ["abcdefxx", "abcdefgx"], " (did you mean abcdefgx?)"],
  ["abcdefghijkl", ["abcdefghixxx"], ""],
  ["key", ["kye", "keys"], ""],
  ["policy", [], ""],
])("for %s of %j the suggestion is %j", (word, names, suggested) => {
  expect(didYouMean(word, names)).toBe(suggested);
});
