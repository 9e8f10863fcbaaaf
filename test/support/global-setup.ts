import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/**
 * All temporary files of the tests and of the programs that they start are in one folder. It is removed at the end, whatever
 * failed. Node.js keeps compiled code there: without it, starting src/main.ts takes three times as long.
 */
export default function setup(): () => void {
  const folder = mkdtempSync(join(tmpdir(), "ctd-decoder-tests-"));
  process.env["TMPDIR"] = folder;
  process.env["NODE_COMPILE_CACHE"] ??= join(folder, "compiled");
  const remove = () => rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
  // vitest tears down when it is interrupted, but not when it is terminated, as by timeout(1).
  process.once("SIGTERM", () => {
    remove();
    process.exit(143);
  });
  return remove;
}
