import { describe, expect, test } from "vitest";
import { flagValue, variableValue, withoutFlag } from "../../../src/containerd/stream-processors.ts";

const ARGS = ["--gate", "a", "--gateway", "b", "-gate=c", "--keys=k", "--gate=", "-gate", "d", "--last"];

describe("a flag in a processor's args", () => {
  test.each([
    ["gate", "d"],
    ["gateway", "b"],
    ["keys", "k"],
    ["last", undefined],
    ["gat", undefined],
  ])("--%s has the last value, %s", (name, value) => {
    expect(flagValue(ARGS, name)).toBe(value);
  });

  test("is removed in every form, with its values", () => {
    expect(withoutFlag(ARGS, "gate")).toEqual(["--gateway", "b", "--keys=k", "--last"]);
    expect(withoutFlag(["--gate"], "gate")).toEqual([]);
    expect(withoutFlag(ARGS, "gat")).toEqual(ARGS);
  });
});

test("the last value of a variable counts, and only of that name", () => {
  const env = ["A=1", "B=x=y", "A=2", "AB=3", "C="];
  expect(["A", "B", "C", "D", "x"].map((name) => variableValue(env, name))).toEqual([
    "2",
    "x=y",
    "",
    undefined,
    undefined,
  ]);
});
