import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { parseAllDocuments } from "yaml";
import { PROJECT } from "../../support/peers.ts";

const documents = parseAllDocuments(readFileSync(join(PROJECT, "deploy/tenants-policy.yaml"), "utf8"));
const [policy, binding] = documents.map((it) => it.toJS());

test("the policy looks at every place where a Pod names an image", () => {
  expect(documents.flatMap((it) => it.errors)).toEqual([]);
  const { containers, prefix } = Object.fromEntries(
    policy.spec.variables.map(({ name, expression }: { name: string; expression: string }) => [
      name,
      expression,
    ]),
  );
  for (const field of ["containers", "initContainers", "ephemeralContainers"])
    expect(containers).toContain(`object.spec.${field}`);
  expect(prefix).toMatch(/\/'$/);
  const checks = policy.spec.validations
    .map(({ expression }: { expression: string }) => expression)
    .join("\n");
  expect(checks).toContain("it.image.startsWith(variables.prefix)");
  expect(checks).toContain("it.image.reference.startsWith(variables.prefix)");
});

test("it denies, and fails closed", () => {
  expect(policy.spec.failurePolicy).toBe("Fail");
  expect(policy.spec.matchConstraints.resourceRules[0].resources).toContain("pods/ephemeralcontainers");
  expect(binding.spec).toMatchObject({ policyName: policy.metadata.name, validationActions: ["Deny"] });
});
