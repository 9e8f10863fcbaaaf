import { expect, test } from "vitest";
import { type Finding, isHealthy } from "../../../src/node/finding.ts";

test.each<[readonly Finding["severity"][], boolean]>([
  [[], true],
  [["note", "warning"], true],
  [["error"], false],
  [["note", "error", "warning"], false],
])("a node with %j is healthy: %s", (severities, healthy) => {
  expect(isHealthy(severities.map((severity) => ({ severity, message: "it" })))).toBe(healthy);
});
