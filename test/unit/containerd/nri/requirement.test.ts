import { expect, test } from "vitest";
import type { ContainerdConfig, Table } from "../../../../src/containerd/config.ts";
import { nriRequirement } from "../../../../src/containerd/nri/requirement.ts";
import { parseContainerdVersion } from "../../../../src/containerd/version.ts";

const REQUIRED = { enable: true, required_plugins: ["other", "ctd-decoder"] };

/** @param validator settings of the default validator. @param nri other settings of NRI */
function requirement(validator: unknown, nri: Table = {}, version = "2.2.0") {
  const plugins = { "io.containerd.nri.v1.nri": { ...nri, default_validator: validator } };
  const parsed = parseContainerdVersion(version);
  if (parsed === undefined) throw new Error("bug: not a version");
  return nriRequirement({ plugins } as unknown as ContainerdConfig, parsed);
}

test.each<[string, boolean, unknown, Table?, string?]>([
  ["by the default validator", true, REQUIRED],
  ["with NRI enabled explicitly", true, REQUIRED, { disable: false }],
  ["by a later version", true, REQUIRED, {}, "3.0.0"],
  ["not by a version without validators", false, REQUIRED, {}, "2.1.9"],
  ["not by version 1", false, REQUIRED, {}, "1.7.9"],
  ["not with NRI disabled", false, REQUIRED, { disable: true }],
  ["not by a validator that is not enabled", false, { ...REQUIRED, enable: false }],
  ["not by one that requires others", false, { ...REQUIRED, required_plugins: ["other"] }],
  ["not by a name instead of a list", false, { ...REQUIRED, required_plugins: "ctd-decoder" }],
  ["not without a validator", false, undefined],
])("the plugin is required %s", (_what, isRequired, validator, nri, version) => {
  expect(requirement(validator, nri, version)).toEqual({ isRequired });
});

test("the annotation by which a Pod opts out is reported, and an empty one is none", () => {
  const tolerating = (name: unknown) =>
    requirement({ ...REQUIRED, tolerate_missing_plugins_annotation: name });
  expect(tolerating("example.com/skip")).toEqual({ isRequired: true, tolerated: "example.com/skip" });
  expect(tolerating("")).toEqual({ isRequired: true });
  expect(tolerating(true)).toEqual({ isRequired: true });
});
