import { expect, test } from "vitest";
import { withDeadline } from "../../../src/trust/deadline.ts";
import { FakeTimers } from "../../support/fake-timers.ts";

const LATE = { code: "REGISTRY", message: "time is up: no answer within 1.5 s" };

test("work that is not done in time is stopped, and fails however it ends", async () => {
  const timers = new FakeTimers();
  const ended = Promise.withResolvers<string>();
  let signal: AbortSignal | undefined;
  const result = withDeadline(1500, async (it) => {
    signal = it;
    return await ended.promise;
  });
  expect(signal?.aborted).toBe(false);
  expect(await timers.endOf(result, 1500)).toEqual({
    status: "rejected",
    reason: expect.objectContaining(LATE),
  });
  expect(signal?.aborted).toBe(true);
  expect(signal?.reason).toMatchObject(LATE);
  ended.resolve("too late");
});

test("work that is done in time gives its result, or its own error", async () => {
  expect(await withDeadline(60_000, async () => "done")).toBe("done");
  const fail = async () => {
    throw new TypeError("a defect");
  };
  await expect(withDeadline(60_000, fail)).rejects.toThrow("a defect");
});
