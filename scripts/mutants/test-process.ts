/**
 * A child process of the runner. It keeps vitest and the code that vitest has transformed, so that a run takes less than
 * a second rather than some seconds. Its working directory is the copy of the project.
 */
import { relative, resolve } from "node:path";
import { BaseSequencer, createVitest, type TestSpecification } from "vitest/node";
import { type Answer, PROGRESS, type Request } from "./messages.ts";

class AsGiven extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    return files;
  }
}

const vitest = await createVitest({
  watch: false,
  bail: 1,
  cache: false,
  maxWorkers: 1,
  reporters: [{ onTestCaseResult: () => void process.send?.(PROGRESS) }],
  sequence: { sequencer: AsGiven },
});
await vitest.standalone();

async function answer({ tests, changed }: Request): Promise<Answer> {
  for (const file of changed) vitest.invalidateFile(resolve(file));
  const specifications: TestSpecification[] = [];
  for (const test of tests) specifications.push(...(await vitest.globTestSpecifications([test])));
  const { testModules, unhandledErrors } = await vitest.runTestSpecifications(specifications);
  const ran = testModules.filter(({ moduleId }) => specifications.some((it) => it.moduleId === moduleId));
  const isPassed = ran.every((it) => it.state() === "passed" || it.state() === "skipped");
  return {
    isPassed: isPassed && ran.length >= specifications.length && unhandledErrors.length === 0,
    durations: Object.fromEntries(
      ran.map((it) => [relative(process.cwd(), it.moduleId), it.diagnostic().duration]),
    ),
  };
}

process.on("message", async (request: Request) => process.send?.(await answer(request)));
process.on("disconnect", () => process.exit());
process.send?.("ready");
