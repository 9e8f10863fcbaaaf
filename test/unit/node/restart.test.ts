import { expect, test } from "vitest";
import { bootTime } from "../../../src/containerd/process.ts";
import { isStillPending } from "../../../src/node/restart.ts";

const record = { files: [], folders: [] };
const running = (earliest: number) =>
  ({ started: { earliest, latest: earliest + 20 } }) as Parameters<typeof isStillPending>[1];

test("without a change nothing is pending", () => {
  expect(isStillPending(record, running(1))).toBe(false);
});

test.each([
  ["certainly after the change", 10_001, false],
  ["perhaps just when it was made", 10_000, true],
  ["before it", 9_000, true],
])("a containerd that started %s", (_when, earliest, isPending) => {
  expect(isStillPending({ ...record, pendingSince: 10_000 }, running(earliest))).toBe(isPending);
});

test("without a containerd, a boot since the change is enough", () => {
  const boot = bootTime();
  if (boot === undefined) throw new Error("/proc has no uptime");
  // The clock may be set a little while this runs.
  expect(isStillPending({ ...record, pendingSince: boot.earliest - 60_000 }, undefined)).toBe(false);
  expect(isStillPending({ ...record, pendingSince: boot.latest + 60_000 }, undefined)).toBe(true);
});
