import { describe, expect, test } from "vitest";
import { differences, ratios, spreadOf } from "../../../scripts/bench/statistics.ts";

describe("spreadOf", () => {
  test("gives median and quartiles, whatever the order", () => {
    expect(spreadOf([5, 1, 4, 2, 3])).toEqual({ median: 3, low: 2, high: 4 });
  });

  test("lies between two numbers in proportion", () => {
    expect(spreadOf([1, 2, 3, 10])).toEqual({ median: 2.5, low: 1.75, high: 4.75 });
    expect(spreadOf([7])).toEqual({ median: 7, low: 7, high: 7 });
  });

  test("leaves its numbers as they are", () => {
    const numbers = [3, 1, 2];
    spreadOf(numbers);
    expect(numbers).toEqual([3, 1, 2]);
  });

  test("needs a number", () => {
    expect(() => spreadOf([])).toThrow(/nothing/);
  });
});

describe("what is compared round by round", () => {
  test("is divided or subtracted in each", () => {
    expect(ratios([2, 9], [4, 3])).toEqual([0.5, 3]);
    expect(differences([2, 9], [4, 3])).toEqual([-2, 6]);
  });

  test("has as many rounds", () => {
    expect(() => ratios([1, 2], [1])).toThrow(/rounds/);
    expect(() => differences([1], [1, 2])).toThrow(/rounds/);
  });
});
