import { rmSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { describeWith, goDecoder, ours } from "../support/peers.ts";
import { explain } from "./differences.ts";
import { compare, newFolder, type Outcome } from "./differential.ts";

/** Long runs: npm run fuzz:differential. */
const CASES = 120;

describeWith([ours, goDecoder], "beside the decoder in Go", {}, () => {
  let folder: string;
  beforeAll(() => {
    folder = newFolder();
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test(`${CASES} changed inputs end alike, or in a way that is explained`, () => {
    const unexplained: unknown[] = [];
    let same = 0;
    for (let seed = 1; seed <= CASES; seed++) {
      const difference = compare(seed, folder);
      if (difference === undefined) same++;
      else if (difference.why === undefined) unexplained.push(difference);
    }
    expect(unexplained).toEqual([]);
    expect(same).toBeGreaterThan(CASES / 2);
  });
});

test("nothing explains other bytes than the plaintext, or bytes with an error", () => {
  const refused: Outcome = {
    end: "refused",
    released: "",
    bytes: 0,
    message: "no suitable key unwrapper found or none of the private keys could be used",
  };
  expect(explain({ end: "ok", released: "sha256:00", bytes: 5, message: "" }, refused)).toBeUndefined();
  expect(explain({ ...refused, bytes: 1 }, { ...refused, end: "crashed" })).toBeUndefined();
  expect(explain(refused, { ...refused, end: "crashed" })).toMatch(/panics/);
});
