import { defineConfig } from "vitest/config";

/** What takes too long, or too much disk, for every run. */
export default defineConfig({
  test: {
    include: ["test/large/*.test.ts"],
    globalSetup: "test/support/global-setup.ts",
  },
});
