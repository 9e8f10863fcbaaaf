/**
 * Long campaigns: `npm run fuzz -- [--target NAME[,NAME…]] [--runs N] [--seed N]`. Without a target, all of them one after
 * another. Prints a line for each, and the inputs that were answered wrongly; ends with 1 if there were any.
 */
import { parseArgs } from "node:util";
import { campaign } from "./campaign.ts";
import { TARGETS } from "./targets.ts";

const { values } = parseArgs({
  options: {
    target: { type: "string" },
    runs: { type: "string", default: "100000" },
    seed: { type: "string", default: "1" },
  },
});
const write = (text: string) => process.stdout.write(text);

for (const name of values.target?.split(",") ?? TARGETS.keys()) {
  const target = TARGETS.get(name);
  if (target === undefined) throw new Error(`no target ${name}; there are ${[...TARGETS.keys()].join(", ")}`);
  const start = performance.now();
  const { executions, outcomes, slowestMs, findings } = await campaign(target, {
    runs: Number(values.runs),
    seed: Number(values.seed),
  });
  const seconds = (performance.now() - start) / 1000;
  const counts = [...outcomes].sort((a, b) => b[1] - a[1]).map(([outcome, count]) => `${outcome} ${count}`);
  const memory = Math.round(process.memoryUsage().rss / 2 ** 20);
  write(
    `${name}: ${executions} executions in ${seconds.toFixed(0)} s, ${findings.length} findings, slowest ${slowestMs.toFixed(0)} ms, ${memory} MiB (${counts.join(", ")})\n`,
  );
  for (const { seed, input, what } of findings) {
    write(
      `  --target ${name} --seed ${seed} --runs 1: ${what}\n    ${input.subarray(0, 2048).toString("base64")}\n`,
    );
    process.exitCode = 1;
  }
}
