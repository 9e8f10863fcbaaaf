import { expect, test } from "vitest";
import { verdictBasis } from "../../../src/trust/node-basis.ts";
import type { TrustSettings } from "../../../src/trust/settings.ts";
import { demand } from "./check/demand.ts";

const bytes = (text: string) => new Uint8Array(Buffer.from(text));

test("a verdict depends on the settings, the policy and what the requirement names", () => {
  const inFile = { name: "key.pub", path: "/key.pub", bytes: bytes("key") };
  const inPolicy = { name: "the policy's keyData[0]", bytes: bytes("data") };
  const requirement = demand({ signer: { kind: "keys", keys: [inFile, inPolicy] } });
  const settings = {
    ...{ policy: "/policy.json", scopeIsIdentity: true, unmatched: "reject", verdictLifeMs: 5 },
    ...{ file: undefined, deadlineMs: 8 },
  } as TrustSettings;
  const policy = { name: "/policy.json", bytes: bytes("policy") };
  const basis = {
    settings: '{"scopeIsIdentity":true,"unmatched":"reject","verdictLifeMs":5}',
    policyBytes: policy.bytes,
    named: [inFile, inPolicy],
  };
  expect(verdictBasis(policy.bytes, requirement, settings)).toEqual({ ...basis, files: [policy, inFile] });
  const file = { name: "/trust.toml", bytes: bytes("settings") };
  expect(verdictBasis(policy.bytes, requirement, { ...settings, file })).toEqual({
    ...basis,
    files: [file, policy, inFile],
  });
});
