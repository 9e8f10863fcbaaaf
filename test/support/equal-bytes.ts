import { expect } from "vitest";

/**
 * A setup file: compares byte arrays as a whole. Vitest compares them byte by byte, which takes a second for each MiB. It still
 * does so, and shows the difference, if they differ or are not of one class.
 */
function equalBytes(a: unknown, b: unknown): true | undefined {
  if (!(a instanceof Uint8Array && b instanceof Uint8Array)) return undefined;
  return Object.getPrototypeOf(a) === Object.getPrototypeOf(b) && Buffer.compare(a, b) === 0
    ? true
    : undefined;
}

const holder = globalThis as { comparesBytes?: boolean };
// Test files that share a process share its testers.
if (holder.comparesBytes !== true) {
  holder.comparesBytes = true;
  expect.addEqualityTesters([equalBytes]);
}
