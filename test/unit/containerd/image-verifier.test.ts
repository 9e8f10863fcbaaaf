import { expect, test } from "vitest";
import { readImageVerifier, VERIFIER_PLUGIN } from "../../../src/containerd/image-verifier.ts";

const read = (section: Readonly<Record<string, unknown>>, disabledPlugins: readonly string[] = []) =>
  readImageVerifier({ plugins: { [VERIFIER_PLUGIN]: section }, disabledPlugins });

test("what is not configured has containerd's defaults", () => {
  const { maxVerifiers, timeoutMs, isDisabled } = readImageVerifier({ plugins: {}, disabledPlugins: [] });
  expect([maxVerifiers, timeoutMs, isDisabled]).toEqual([10, 10_000, false]);
});

test.each([
  ["0", 0],
  ["500ms", 500],
  ["1000us", 1],
  ["1000µs", 1],
  ["8s", 8000],
  ["1m30s", 90_000],
  ["1.5h", 5_400_000],
])("a timeout of %s is %d ms, as Go reads it", (text, milliseconds) => {
  expect(read({ per_verifier_timeout: text }).timeoutMs).toBeCloseTo(milliseconds, 6);
});

test.each(["8", "soon", "", "1s x"])("a timeout of %j is not one", (text) => {
  expect(read({ per_verifier_timeout: text }).timeoutMs).toBeNaN();
});

test("the plugin is disabled by its name", () => {
  expect(read({ max_verifiers: 0 }, [VERIFIER_PLUGIN])).toMatchObject({ maxVerifiers: 0, isDisabled: true });
  expect(read({}, ["another"]).isDisabled).toBe(false);
});
