import { mkdirSync, mkdtempSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, expect, test } from "vitest";
import { Secret } from "../../../src/secret.ts";
import { seal } from "../../../src/tenants/layer-keys.ts";
import { proofOf, type SealRecord, SealRecords } from "../../../src/tenants/seal-record.ts";
import { type BoltBucket, boltDatabase } from "../../support/bolt.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const folder = temporaryFolder();
const digest = (digit: string) => `sha256:${digit.repeat(64)}`;
const CHAIN = digest("a");
const LAYER = digest("1");
const OTHER = digest("2");
const KEY = new Secret(new Uint8Array(32).fill(1));

let root: string;
let records: SealRecords;

beforeEach(() => {
  root = mkdtempSync(join(folder, "root-"));
  mkdirSync(join(root, "io.containerd.metadata.v1.bolt"));
  records = new SealRecords(join(root, "sealed"));
});

/** A pull that holds a layer and unpacks it as a chain. */
function pullOf(layer: string, chain = CHAIN): BoltBucket {
  return {
    content: { [layer]: "" },
    snapshots: { overlayfs: { [`extract-1-abc ${chain}`]: "" } },
  };
}

function writeMetadata(leases: BoltBucket, snapshots: BoltBucket = {}): void {
  const database = boltDatabase({ v1: { "k8s.io": { leases, snapshots: { overlayfs: snapshots } } } });
  writeFileSync(join(root, "io.containerd.metadata.v1.bolt/meta.db"), database);
}

async function sealLayer(): Promise<void> {
  const store = join(root, "io.containerd.content.v1.content");
  await seal(records, KEY, { store, digest: LAYER, owner: "tenant" });
}

async function writeRecord(layer: string): Promise<void> {
  const record: SealRecord = {
    layer,
    chain: CHAIN,
    repositories: [],
    owner: "tenant",
    proof: proofOf(KEY, CHAIN),
    time: "2026-01-01T00:00:00Z",
  };
  await records.write(record);
}

const layersOf = (chain: string) =>
  records
    .of(chain)
    .map(({ layer }) => layer)
    .sort();

test("a layer is sealed for the chain that its pull makes", async () => {
  writeMetadata({ one: pullOf(LAYER), two: pullOf(OTHER, digest("b")) });
  await sealLayer();
  expect(layersOf(CHAIN)).toEqual([LAYER]);
  expect(layersOf(digest("b"))).toEqual([]);
});

test("records of pulls that never made the chain go, however many there are", async () => {
  for (let i = 0; i < 40; i++) await writeRecord(`sha256:${i.toString(16).padStart(64, "0")}`);
  writeMetadata({ one: pullOf(LAYER) });
  await sealLayer();
  expect(layersOf(CHAIN)).toEqual([LAYER]);
});

test("the record of another pull that is making the chain stays", async () => {
  await writeRecord(OTHER);
  writeMetadata({ one: pullOf(LAYER), two: pullOf(OTHER) });
  await sealLayer();
  expect(layersOf(CHAIN)).toEqual([LAYER, OTHER]);
});

test("every record of a chain that has a snapshot stays", async () => {
  await writeRecord(OTHER);
  writeMetadata({ one: pullOf(LAYER) }, { [CHAIN]: { name: "1" } });
  await sealLayer();
  expect(layersOf(CHAIN)).toEqual([LAYER, OTHER]);
});

test("the record of a chain stays, however long its pull takes, and goes when the pull has failed", async () => {
  const long = digest("b");
  await records.write({
    layer: OTHER,
    chain: long,
    repositories: [],
    owner: "tenant",
    proof: proofOf(KEY, long),
    time: "2026-01-01T00:00:00Z",
  });
  utimesSync(join(root, "sealed", "b".repeat(64)), 0, 0);
  writeMetadata(
    { one: pullOf(LAYER), two: pullOf(OTHER, long) },
    { [`extract-2-abc ${long}`]: { name: "1" } },
  );
  await sealLayer();
  expect(layersOf(long)).toEqual([OTHER]);
  writeMetadata({ one: pullOf(LAYER) });
  await sealLayer();
  expect(layersOf(long)).toEqual([]);
});

test("a record that can't be read stays, and the layer is sealed", async () => {
  mkdirSync(join(root, "sealed", "a".repeat(64)), { recursive: true });
  writeFileSync(join(root, "sealed", "a".repeat(64), "broken.json"), "{");
  writeMetadata({ one: pullOf(LAYER) });
  await sealLayer();
  expect(() => records.of(CHAIN)).toThrow(/broken\.json can't be read/);
});

test("without a chain that a pull makes, nothing is sealed", async () => {
  writeMetadata({ one: pullOf(OTHER) });
  await expect(sealLayer()).rejects.toThrow(/does not say which snapshot layer/);
});
