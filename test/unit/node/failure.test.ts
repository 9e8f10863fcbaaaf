import { expect, test } from "vitest";
import { DecoderError } from "../../../src/errors.ts";
import { asFailure, halfUndone, UNDONE } from "../../../src/node/failure.ts";

/** As the system reports a file that cannot be written. */
const system = (code: string) =>
  Object.assign(new Error(`${code}: refused, open '/x'`), { code, path: "/x" });

test.each([
  ["EROFS", /--program/],
  ["EACCES", /as root/],
  ["EPERM", /as root/],
])("an error of the system names its path, and a hint: %s", (code, hint) => {
  const failure = asFailure(system(code), UNDONE) as DecoderError;
  expect(failure).toBeInstanceOf(DecoderError);
  expect(failure.code).toBe("IO");
  expect(failure.message).toMatch(/^cannot change \/x: .*; nothing was changed$/);
  expect(failure.hint).toMatch(hint);
});

test("one without a remedy has no hint", () => {
  expect(asFailure(system("ENOSPC"))).not.toHaveProperty("hint", expect.anything());
});

test("an error of ours gets the hint for its cause, and keeps its own", () => {
  const bare = new DecoderError("BAD_KEY", "no key", { cause: system("EACCES") });
  expect(asFailure(bare, UNDONE)).toMatchObject({
    code: "BAD_KEY",
    message: "no key; nothing was changed",
    hint: "run it as root",
  });
  const hinted = new DecoderError("IO", "no key", { cause: system("EACCES"), hint: "look" });
  const bug = new TypeError("bug");
  expect([asFailure(hinted), asFailure(bug)]).toEqual([hinted, bug]);
});

test("what was half undone does not claim that nothing was changed", () => {
  const half = halfUndone(new DecoderError("CONFIG", `no table${UNDONE}`), "the disk is full");
  expect([half.code, half.message]).toEqual([
    "CONFIG",
    "no table; not everything was undone: the disk is full",
  ]);
  expect(halfUndone(system("EIO"), "why").code).toBe("IO");
});
