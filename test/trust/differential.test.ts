import { expect, test } from "vitest";
import { describeWith, skopeoNew } from "../support/peers.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { comparePolicies } from "./compare-policies.ts";

/** A sample of what `node test/trust/differential.ts` compares. */
describeWith([skopeoNew], "containers-policy.json as skopeo reads it", {}, () => {
  const folder = temporaryFolder();

  test("the same answers for generated policies and names", async () => {
    const seeds = Array.from({ length: 24 }, (_, i) => i + 1);
    const { accepted, refused, differences } = await comparePolicies(folder, skopeoNew, seeds);
    expect(differences).toEqual([]);
    expect(accepted).toBeGreaterThan(0);
    expect(refused).toBeGreaterThan(0);
  }, 300_000);
});
