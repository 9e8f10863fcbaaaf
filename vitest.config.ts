import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    exclude: ["test/large/**", "test/load/**"],
    globalSetup: "test/support/global-setup.ts",
    // Vitest leaves one core idle by default, which is half of two. Tests wait for other programs most of the time.
    maxWorkers: "100%",
    // Only a hang takes that long, even on a machine ten times slower than the one the tests were written on.
    testTimeout: 300_000,
    hookTimeout: 300_000,
  },
});
