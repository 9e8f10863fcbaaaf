import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    exclude: ["test/large/**", "test/load/**"],
    globalSetup: "test/support/global-setup.ts",
    // Tests that run the executable wait for it more than they compute.
    testTimeout: 20_000,
  },
});
