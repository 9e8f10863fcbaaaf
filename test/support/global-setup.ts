import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** All temporary files of all tests and their programs go to one folder, removed at the end whatever failed. */
export default function setup(): () => void {
  const folder = mkdtempSync(join(tmpdir(), "ctd-decoder-tests-"));
  process.env["TMPDIR"] = folder;
  const remove = () => rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
  // vitest tears down when it is interrupted, but not when it is terminated, as by timeout(1).
  process.once("SIGTERM", () => {
    remove();
    process.exit(143);
  });
  return remove;
}
