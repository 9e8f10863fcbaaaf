import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { isStillPending } from "../../../src/node/restart.ts";

const record = { files: [], folders: [] };
const [, bootSeconds] = /^btime (\d+)$/m.exec(readFileSync("/proc/stat", "utf8")) ?? [];
const BOOT = Number(bootSeconds) * 1000;
/** Begun at `startedBy` at the latest, and up to a second before. */
const running = (startedBy: number) => ({ startedBy }) as Parameters<typeof isStillPending>[1];

test("without a change nothing is pending", () => {
  expect(isStillPending(record, running(1))).toBe(false);
});

test.each([
  ["certainly after the change", 11_001, false],
  ["perhaps just when it was made", 11_000, true],
  ["before it", 9_000, true],
])("a containerd that started %s", (_when, startedBy, isPending) => {
  expect(isStillPending({ ...record, pendingSince: 10_000 }, running(startedBy))).toBe(isPending);
});

test("without a containerd, a boot since the change is enough", () => {
  expect(isStillPending({ ...record, pendingSince: BOOT - 1 }, undefined)).toBe(false);
  expect(isStillPending({ ...record, pendingSince: BOOT + 1 }, undefined)).toBe(true);
});
