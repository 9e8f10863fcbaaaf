import { describe, expect, test } from "vitest";
import { flagValue, withoutFlag } from "../../../src/containerd/stream-processors.ts";

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
