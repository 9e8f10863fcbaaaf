import { expect, test } from "vitest";
import { DecoderError } from "../../../src/errors.ts";
import { asFailure, beforeChanges, halfUndone, uncertain, unchanged } from "../../../src/node/failure.ts";

/** As the system reports a file that cannot be written. */
const system = (code: string) =>
  Object.assign(new Error(`${code}: refused, open '/x'`), { code, path: "/x" });

test.each([
  ["EROFS", /--program/],
  ["EACCES", /as root/],
  ["EPERM", /as root/],
])("an error of the system names its path, and a hint: %s", (code, hint) => {
  const failure = asFailure(system(code)) as DecoderError;
  expect(failure).toBeInstanceOf(DecoderError);
  expect(failure.code).toBe("IO");
  expect(failure.message).toMatch(/^cannot change \/x: [^;]*$/);
  expect(failure.hint).toMatch(hint);
});

test("one without a remedy has no hint", () => {
  expect(asFailure(system("ENOSPC"))).not.toHaveProperty("hint", expect.anything());
});

test("an error of ours gets the hint for its cause, and keeps its own", () => {
  const bare = new DecoderError("BAD_KEY", "no key", { cause: system("EACCES") });
  expect(asFailure(bare)).toMatchObject({ code: "BAD_KEY", message: "no key", hint: "run it as root" });
  const hinted = new DecoderError("IO", "no key", { cause: system("EACCES"), hint: "look" });
  const bug = new TypeError("bug");
  expect([asFailure(hinted), asFailure(bug)]).toEqual([hinted, bug]);
});

test("an error before the first change says that nothing was changed", async () => {
  const hinted = new DecoderError("CONFIG", "no table", { cause: system("EIO"), hint: "look" });
  expect(unchanged(hinted)).toMatchObject({
    code: "CONFIG",
    message: "no table; nothing was changed",
    hint: "look",
    cause: { code: "EIO" },
  });
  expect(unchanged(system("EROFS"))).toMatchObject({
    code: "IO",
    message: expect.stringMatching(/^cannot change \/x: .*; nothing was changed$/),
    hint: expect.stringMatching(/--program/),
  });
  const bug = new TypeError("bug");
  await expect(beforeChanges(() => Promise.reject(bug))).rejects.toBe(bug);
  await expect(beforeChanges(() => Promise.reject(hinted))).rejects.toThrow("no table; nothing was changed");
  expect(await beforeChanges(async () => 5)).toBe(5);
});

test("what was half undone does not claim that nothing was changed", () => {
  const half = halfUndone(new DecoderError("CONFIG", "no table"), "the disk is full");
  expect([half.code, half.message]).toEqual([
    "CONFIG",
    "no table; not everything was undone: the disk is full",
  ]);
  expect(halfUndone(system("EIO"), "why").code).toBe("IO");
});

test("what a signal must not hide has a code of its own", () => {
  const error = new DecoderError("IO", "it is half done", { hint: "go on" });
  expect(uncertain(error)).toMatchObject({ code: "UNCERTAIN", message: "it is half done", hint: "go on" });
  const bug = new TypeError("bug");
  expect(uncertain(bug)).toBe(bug);
});
