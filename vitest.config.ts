import { availableParallelism } from "node:os";
import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";

/** These replace a module by a mock. In a worker that has already loaded the module, the mock would come too late. */
const MOCKING = [
  "test/unit/keywrap/provider/unwrap.test.ts",
  "test/unit/node/without-hard-links.test.ts",
  "test/unit/trust/node/credentials.test.ts",
];

/** Folders of tests that take minutes. Short tests fill the cores while the last of these end. */
const LONG = ["tamper", "faults", "containerd", "interop", "cli"];

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification) => {
      const found = LONG.findIndex((folder) => moduleId.includes(`/test/${folder}/`));
      return found < 0 ? LONG.length : found;
    };
    return (await super.sort(files)).toSorted((a, b) => rank(a) - rank(b));
  }
}

export default defineConfig({
  test: {
    globalSetup: "test/support/global-setup.ts",
    // One more than cores: tests wait for other programs, some for half a minute, and a core would be idle meanwhile.
    maxWorkers: availableParallelism() + 1,
    // Only a hang takes that long, even on a machine ten times slower than the one the tests were written on.
    testTimeout: 300_000,
    hookTimeout: 300_000,
    sequence: { sequencer: LongestFirst },
    projects: [
      {
        extends: true,
        // Starting a worker and loading the code again takes longer than the tests of most files.
        test: {
          name: "unit",
          include: ["test/unit/**/*.test.ts"],
          exclude: MOCKING,
          isolate: false,
          setupFiles: ["test/support/watchdog.ts", "test/support/equal-bytes.ts"],
        },
      },
      {
        extends: true,
        test: { name: "programs", include: ["test/!(unit|large|load)/**/*.test.ts", ...MOCKING] },
      },
    ],
  },
});
