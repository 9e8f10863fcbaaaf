import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** All temporary files of all tests and their programs go to one folder, removed at the end whatever failed. */
export default function setup(): () => void {
  const folder = mkdtempSync(join(tmpdir(), "ctd-decoder-tests-"));
  process.env["TMPDIR"] = folder;
  return () => rmSync(folder, { recursive: true, force: true });
}
