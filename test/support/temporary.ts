import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";

/** A folder of its own for the tests of one suite, removed when they are done. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "ctd-decoder-test-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
