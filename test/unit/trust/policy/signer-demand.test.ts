import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { signerDemand } from "../../../../src/trust/policy/signer-demand.ts";
import { temporaryFolder } from "../../../support/temporary.ts";

const folder = temporaryFolder();
const KEY = join(folder, "key.pub");
writeFileSync(KEY, "key");

const NOBODY = {
  keys: [],
  subject: undefined,
  subjectRegexp: undefined,
  issuer: undefined,
  issuerRegexp: undefined,
  workflow: new Map(),
};
const DEMANDS = {
  trustedRoot: undefined,
  annotations: new Map(),
  isLogRequired: undefined,
  isSctRequired: true,
  isTimestampRequired: false,
  statement: { kind: "signature" },
} as const;
type Choice = Parameters<typeof signerDemand>[0];
const demand = (choice: Partial<Choice>, more = {}) =>
  signerDemand({ ...NOBODY, ...choice }, { ...DEMANDS, ...more });

test("keys are demanded without a log, unless one is wanted", () => {
  const keys = { kind: "keys", keys: [{ name: KEY, bytes: new Uint8Array(Buffer.from("key")) }] };
  expect(demand({ keys: [KEY] })).toMatchObject({ signer: keys, log: { need: "ignored" } });
  expect(demand({ keys: [KEY] }, { isLogRequired: true })).toMatchObject({ log: { need: "required" } });
});

test("a certificate's identity is demanded with a log", () => {
  expect(demand({ subject: "s", issuer: "i" })).toMatchObject({
    signer: { kind: "certificate" },
    log: { need: "required" },
    sct: "required",
    timestamps: "accepted",
  });
  const more = { isLogRequired: false, isSctRequired: false, isTimestampRequired: true };
  expect(demand({ subjectRegexp: "s.*", issuer: "i" }, more)).toMatchObject({
    log: { need: "ignored" },
    sct: "ignored",
    timestamps: "required",
  });
});

describe("what is refused", () => {
  test.each<[string, Partial<Choice>]>([
    ["nobody", {}],
    ["a key and an identity", { keys: [KEY], subject: "s", issuer: "i" }],
    ["a key and a workflow", { keys: [KEY], workflow: new Map([["ref", "x"]]) }],
    ["a subject without an issuer", { subject: "s" }],
    ["an issuer without a subject", { issuer: "i" }],
    ["an empty subject", { subject: "", issuer: "i" }],
    ["a subject and its pattern", { subject: "s", subjectRegexp: "s", issuer: "i" }],
  ])("%s", (_what, choice) => {
    expect(() => demand(choice)).toThrow(expect.objectContaining({ code: "USAGE" }));
  });
});
