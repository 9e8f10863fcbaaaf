/**
 * The same policies and names for skopeo and for this project: `node test/trust/differential.ts [RUNS] [FIRST-SEED]`. Prints
 * each pair that gets another answer, and ends with 1 if there are any.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { skopeoNew } from "../support/peers.ts";
import { comparePolicies } from "./compare-policies.ts";

const [runs = "2000", first = "1"] = process.argv.slice(2);
const folder = mkdtempSync(join(tmpdir(), "policies-"));
try {
  const seeds = Array.from({ length: Number(runs) }, (_, i) => Number(first) + i);
  const { accepted, refused, differences } = await comparePolicies(folder, skopeoNew, seeds);
  for (const it of differences) process.stdout.write(`${JSON.stringify(it, null, 1)}\n`);
  process.stdout.write(`${accepted} accepted, ${refused} refused, ${differences.length} differ\n`);
  process.exitCode = differences.length > 0 ? 1 : 0;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
