import {
  copyFileSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Secret } from "../../../src/secret.ts";
import { isProofOf, proofOf, type SealRecord, SealRecords } from "../../../src/tenants/seal-record.ts";

const CHAIN = `sha256:${"a".repeat(64)}`;
const OTHER = `sha256:${"b".repeat(64)}`;
const HOUR_S = 3600;
const key = (fill: number) => new Secret(new Uint8Array(32).fill(fill));

let folder: string;
let records: SealRecords;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "sealed-"));
  records = new SealRecords(folder);
});
afterEach(() => rmSync(folder, { recursive: true }));

function record(changes: Partial<SealRecord> = {}): SealRecord {
  const made = {
    layer: `sha256:${"1".repeat(64)}`,
    chain: CHAIN,
    repositories: ["r.test/a"],
    owner: "tenant" as const,
  };
  return { ...made, proof: proofOf(key(1), CHAIN), time: "2026-01-01T00:00:00Z", ...changes };
}

test("a record is read as it was written, by root alone", async () => {
  await records.write(record());
  expect(records.of(CHAIN)).toEqual([record()]);
  expect(records.of(OTHER)).toEqual([]);
  const [chain] = readdirSync(folder);
  const [file] = readdirSync(join(folder, chain ?? ""));
  expect(statSync(join(folder, chain ?? "", file ?? "")).mode & 0o777).toBe(0o600);
});

test("the proof is of the layer key and of the chain", () => {
  expect(isProofOf(record(), key(1))).toBe(true);
  expect(isProofOf(record(), key(2))).toBe(false);
  expect(isProofOf(record({ chain: OTHER }), key(1))).toBe(false);
});

test("each layer that became a chain has a record of its own, and writes it over", async () => {
  await records.write(record());
  await records.write(record({ layer: OTHER }));
  await records.write(record({ layer: OTHER, owner: "node" }));
  expect(
    records
      .of(CHAIN)
      .map(({ owner }) => owner)
      .sort(),
  ).toEqual(["node", "tenant"]);
});

test("a layer that another key opened has a record of its own", async () => {
  await records.write(record());
  await records.write(record({ proof: proofOf(key(2), CHAIN), owner: "node" }));
  expect(records.of(CHAIN).filter((it) => isProofOf(it, key(1)))).toEqual([record()]);
  expect(records.of(CHAIN)).toHaveLength(2);
});

test("a record that an earlier version named by its layer alone is not kept twice", async () => {
  await records.write(record());
  const chain = join(folder, "a".repeat(64));
  const [name = ""] = readdirSync(chain);
  renameSync(join(chain, name), join(chain, `${"1".repeat(64)}.json`));
  await records.write(record({ owner: "node" }));
  expect(records.of(CHAIN)).toEqual([record({ owner: "node" })]);
});

test("one record too many is refused, and closes the chain to nobody", async () => {
  const proofs = Array.from({ length: 64 }, (_, i) => proofOf(key(i), CHAIN));
  for (const proof of proofs) await records.write(record({ proof }));
  await expect(records.write(record({ proof: proofOf(key(200), CHAIN) }))).rejects.toThrow(
    expect.objectContaining({ code: "TENANTS", message: expect.stringMatching(/holds 64 seal records/) }),
  );
  await records.write(record({ proof: proofs[0] ?? "" }));
  expect(records.of(CHAIN)).toHaveLength(64);
  // Another decoder may have written one at the same time.
  const chain = join(folder, "a".repeat(64));
  const [name = ""] = readdirSync(chain);
  copyFileSync(join(chain, name), join(chain, `${"1".repeat(64)}.json`));
  expect(() => records.of(CHAIN)).toThrow("it holds too many records");
});

test("a layer that is in very many repositories has a record that can be read", async () => {
  const repositories = Array.from({ length: 2000 }, (_, i) => `r${i}.test/a"\u0000`);
  await records.write(record({ repositories }));
  const [found] = records.of(CHAIN);
  expect(repositories.slice(0, found?.repositories.length)).toEqual(found?.repositories);
  expect(found?.repositories.length).toBeGreaterThan(100);
});

test("a record lists repositories in 8 KiB, and no more", async () => {
  const listed = async (last: number) => {
    // Each has 64 bytes in JSON, with its comma.
    const repositories = Array.from({ length: 128 }, (_, i) => String(i).padEnd(i < 127 ? 61 : last, "x"));
    await records.write(record({ repositories }));
    return records.of(CHAIN)[0]?.repositories.length;
  };
  expect(await listed(61)).toBe(128);
  expect(await listed(62)).toBe(127);
});

test.each([
  ["not JSON", "{"],
  ["another chain's", JSON.stringify(record({ chain: OTHER }))],
  ["without a proof", JSON.stringify({ ...record(), proof: "" })],
  ["of nobody", JSON.stringify({ ...record(), owner: "anybody" })],
])("a record that is %s keeps the chain closed", async (_what, text) => {
  await records.write(record());
  const [file] = readdirSync(join(folder, "a".repeat(64)));
  writeFileSync(join(folder, "a".repeat(64), file ?? ""), text);
  expect(() => records.of(CHAIN)).toThrow(expect.objectContaining({ code: "TENANTS" }));
});

test("a record in place of a folder keeps the chain closed", async () => {
  writeFileSync(join(folder, "a".repeat(64)), "");
  expect(() => records.of(CHAIN)).toThrow(expect.objectContaining({ code: "TENANTS" }));
  await expect(records.write(record())).rejects.toThrow(expect.objectContaining({ code: "TENANTS" }));
});

test("records go with their snapshot, but not while it is being made", async () => {
  await records.write(record());
  await records.write(record({ chain: OTHER, proof: proofOf(key(1), OTHER) }));
  expect(records.prune(() => new Set())).toEqual([]);
  const old = Date.now() / 1000 - 2 * HOUR_S;
  for (const name of readdirSync(folder)) utimesSync(join(folder, name), old, old);
  expect(records.prune(() => new Set([OTHER]))).toEqual([CHAIN]);
  expect(records.of(CHAIN)).toEqual([]);
  expect(records.of(OTHER)).toHaveLength(1);
});

test("records are not changed while another decoder decides which of them go", async () => {
  const started = Promise.withResolvers<void>();
  const decided = Promise.withResolvers<void>();
  const deciding = records.changing(async () => {
    started.resolve();
    await decided.promise;
  });
  await started.promise;
  const writing = records.changing(() => records.write(record()));
  // A change that did not wait would be seen by now.
  for (let turn = 0; turn < 50; turn++) await nextTurn();
  expect(records.of(CHAIN)).toEqual([]);
  decided.resolve();
  await Promise.all([deciding, writing]);
  expect(records.of(CHAIN)).toEqual([record()]);
});

test.each(["sha256:..", "../x", "sha512:aa", ""])("%o is not a chain", (chain) => {
  expect(() => records.of(chain)).toThrow(expect.objectContaining({ code: "TENANTS" }));
});
