import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { DecoderError, describeSystemError, errnoOf } from "../../src/errors.ts";

function failureOf(action: () => void): unknown {
  try {
    action();
  } catch (error) {
    return error;
  }
  throw new Error("it did not fail");
}

test("an error carries its code, hint and cause", () => {
  const cause = new Error("inner");
  const error = new DecoderError("BAD_KEY", "no key", { hint: "get one", cause });
  expect(error).toMatchObject({
    name: "DecoderError",
    code: "BAD_KEY",
    message: "no key",
    hint: "get one",
    cause,
  });
  expect(error).toBeInstanceOf(Error);
  expect(new DecoderError("IO", "x")).toMatchObject({ hint: undefined });
  expect("cause" in new DecoderError("IO", "x")).toBe(false);
});

test("a system error is told in words, without path and call", () => {
  const missing = failureOf(() => readFileSync("/nonexistent/secret-name"));
  expect(errnoOf(missing)).toBe("ENOENT");
  expect(describeSystemError(missing)).toBe("no such file or directory");
  expect(describeSystemError(failureOf(() => readFileSync("/")))).toBe("it is a directory");
});

test("an errno without words is told by its name", () => {
  expect(describeSystemError(Object.assign(new Error("x: /secret"), { code: "EXDEV" }))).toBe("EXDEV");
});

test("what is no system error is told by its message", () => {
  expect(errnoOf(new Error("x"))).toBeUndefined();
  expect(errnoOf({ code: "ENOENT" })).toBeUndefined();
  expect(errnoOf(Object.assign(new Error("x"), { code: 5 }))).toBeUndefined();
  expect(describeSystemError(new Error("it is odd"))).toBe("it is odd");
  expect(describeSystemError("odd")).toBe("odd");
});
