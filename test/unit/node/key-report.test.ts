import { chmodSync, mkdtempSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { reportKeys } from "../../../src/node/key-report.ts";
import { keySet } from "../../support/jwe.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const folder = temporaryFolder();

test("rows of all kinds are in the order of their files, two of one file in that of their kinds", () => {
  const path = mkdtempSync(join(folder, "keys-"));
  const skipped = ["d", "a", "c", "b"].map((origin) => ({ origin, reason: `why ${origin}` }));
  const certificates = ["e", "c"].map((origin) => ({ origin, der: Uint8Array.of(0) }));
  const { rows } = reportKeys(path, { ...keySet(), skipped, certificates });
  expect(rows.map(({ file, skipped: why }) => [file, why])).toEqual([
    ["a", "why a"],
    ["b", "why b"],
    ["c", "a malformed X.509 certificate"],
    ["c", "why c"],
    ["d", "why d"],
    ["e", "a malformed X.509 certificate"],
  ]);
});

test.each([
  [0o600, []],
  [0o640, ["users other than its owner can read ring.gpg"]],
  [0o601, ["users other than its owner can read ring.gpg"]],
  [0o4600, []],
])("a private key's mode %o", (mode, messages) => {
  const path = mkdtempSync(join(folder, "keys-"));
  writeFileSync(join(path, "ring.gpg"), "");
  chmodSync(join(path, "ring.gpg"), mode);
  const { rows, findings } = reportKeys(path, {
    ...keySet(),
    keyrings: [{ origin: "ring.gpg", data: new Uint8Array(), passphrases: [] }],
  });
  expect(rows).toEqual([
    { file: "ring.gpg", kind: "OpenPGP keyring", mode: mode.toString(8).padStart(4, "0") },
  ]);
  expect(findings.map(({ message }) => message)).toEqual(messages);
});

test("keys that the decoder cannot use are no private key", () => {
  const path = mkdtempSync(join(folder, "keys-"));
  const { findings } = reportKeys(path, { ...keySet(), skipped: [{ origin: "a", reason: "why" }] });
  expect(findings).toEqual([
    {
      severity: "error",
      message: `${path} has no usable private key`,
      hint: expect.stringContaining("ctd-decoder keygen"),
    },
  ]);
});

test("a node of tenants needs no key of its own", () => {
  const path = mkdtempSync(join(folder, "keys-"));
  expect(reportKeys(path, keySet(), true).findings).toEqual([
    {
      severity: "note",
      message: `${path} has no usable private key: keys come from tenants' Secrets only`,
    },
  ]);
});
