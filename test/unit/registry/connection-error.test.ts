import { expect, test } from "vitest";
import { errnoOf } from "../../../src/errors.ts";
import { connectionError, isCutOff, isPassing } from "../../../src/registry/connection-error.ts";

test("a server that goes away is not taken for a reader of our output, of which nothing would be printed", () => {
  const gone = Object.assign(new Error("write EPIPE"), { code: "EPIPE" });
  const error = connectionError(gone, new URL("http://reg.example/v2/"));
  expect(error.message).toBe("can't reach http://reg.example/v2/: the connection broke");
  expect(errnoOf(error.cause)).not.toBe("EPIPE");
  expect([isCutOff(error), isPassing(error)]).toEqual([true, true]);
});
