import { expect, test } from "vitest";
import { DecoderError } from "../../../src/errors.ts";
import { attempt } from "../../../src/node/attempt.ts";
import type { Finding } from "../../../src/node/finding.ts";

test("what fails with an error of ours is a finding, with its hint if it has one", async () => {
  const findings: Finding[] = [];
  const first = attempt(findings, () => {
    throw new DecoderError("IO", "no disk", { hint: "add one" });
  });
  const second = await attempt(findings, () => Promise.reject(new DecoderError("CONFIG", "no file")));
  expect([first, second]).toEqual([undefined, undefined]);
  expect(findings).toEqual([
    { severity: "error", message: "no disk", hint: "add one" },
    { severity: "error", message: "no file" },
  ]);
});

test("results pass, and so does any other error", async () => {
  const findings: Finding[] = [];
  expect([attempt(findings, () => 1), await attempt(findings, async () => 2)]).toEqual([1, 2]);
  const bug = new TypeError("bug");
  expect(() =>
    attempt(findings, () => {
      throw bug;
    }),
  ).toThrow(bug);
  await expect(attempt(findings, () => Promise.reject(bug))).rejects.toBe(bug);
  expect(findings).toEqual([]);
});
