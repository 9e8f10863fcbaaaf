import { defineConfig } from "vitest/config";

/** What takes minutes and gigabytes: npm run test:load. */
export default defineConfig({
  test: {
    include: ["test/load/*.test.ts"],
    globalSetup: "test/support/global-setup.ts",
  },
});
