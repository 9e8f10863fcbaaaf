import { mkdirSync, mkdtempSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { blobPath } from "../../../src/containerd/store/place.ts";
import { Secret } from "../../../src/secret.ts";
import { admit } from "../../../src/tenants/gate.ts";
import { proofOf, SealRecords } from "../../../src/tenants/seal-record.ts";
import { Verdicts } from "../../../src/tenants/verdicts.ts";
import { type BoltBucket, boltDatabase } from "../../support/bolt.ts";
import { sha256 } from "../../support/images.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const folder = temporaryFolder();
const SEALED = `sha256:${"a".repeat(64)}`;
const PLAIN = `sha256:${"b".repeat(64)}`;
const LAYER = `sha256:${"1".repeat(64)}`;
const POD = { namespace: "tenant-b", name: "app", uid: "uid" };

let root: string;
let records: SealRecords;

beforeEach(async () => {
  root = mkdtempSync(join(folder, "root-"));
  for (const name of ["io.containerd.metadata.v1.bolt", "io.containerd.content.v1.content/blobs/sha256"])
    mkdirSync(join(root, name), { recursive: true });
  records = new SealRecords(join(root, "sealed"));
  await records.write({
    layer: LAYER,
    chain: SEALED,
    repositories: [],
    owner: "tenant",
    proof: proofOf(new Secret(new Uint8Array(32)), SEALED),
    time: "2026-01-01T00:00:00Z",
  });
});

/** containerd's metadata with the container "id" on a plain chain. */
function writeMetadata(snapshots: BoltBucket, blobs: BoltBucket = {}): void {
  const overlayfs = { id: { parent: PLAIN }, [PLAIN]: { name: "1" }, [SEALED]: { name: "2" }, ...snapshots };
  const namespace = { snapshots: { overlayfs }, content: { blob: blobs } };
  const database = boltDatabase({ v1: { "k8s.io": namespace } });
  writeFileSync(join(root, "io.containerd.metadata.v1.bolt/meta.db"), database);
}

/** "asked" when the Pod's keys are needed. */
async function outcomeOf(mounts: readonly string[], containerId = "id"): Promise<string> {
  const schemes = { environment: {}, providerTimeoutMs: 1000, providerLegacyDc: false, verbose: false };
  try {
    const { chains } = await admit(
      { namespace: "k8s.io", containerId, mounts, pod: POD },
      {
        store: join(root, "io.containerd.content.v1.content"),
        schemes,
        sharesNodeLayers: true,
        exempt: new Set(),
      },
      {
        records,
        verdicts: new Verdicts(join(root, "verdicts")),
        api: () => {
          throw new Error("asked");
        },
      },
    );
    return chains.length === 0 ? "not sealed" : "allowed";
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

describe("an image volume on a sealed chain asks for the Pod's key", () => {
  test.each([
    ["mounted whole", "volumes/v", "volumes/v"],
    ["mounted by subPath", "volumes/v", "volumes/v/lib/deep"],
    ["below a link that containerd has resolved", "link/v", "volumes/v/lib"],
    ["below a link that containerd has not resolved", "volumes/v", "link/v"],
    ["of a path that is not ASCII", "volumes/vé", "volumes/vé/lib"],
  ])("%s", async (_what, key, source) => {
    mkdirSync(join(root, "volumes/v/lib/deep"), { recursive: true });
    mkdirSync(join(root, "volumes/vé/lib"), { recursive: true });
    symlinkSync("volumes", join(root, "link"));
    writeMetadata({ [join(root, key)]: { parent: SEALED } });
    expect(await outcomeOf([join(root, source)])).toBe("asked");
  });

  test.each(["volumes/v2", "volumes", "etc"])("another mount, %s, does not", async (source) => {
    writeMetadata({ [join(root, "volumes/v")]: { parent: SEALED } });
    expect(await outcomeOf([join(root, source)])).toBe("not sealed");
  });
});

describe("a sealed chain that was also unpacked from a plain blob is everybody's", () => {
  const plain = Buffer.alloc(1024);
  plain.write("ustar", 257, "latin1");
  const unpacked = { labels: { "containerd.io/uncompressed": SEALED } };

  test.each([
    ["before", "0"],
    ["after", "f"],
  ])("and an encrypted blob %s it in the store changes nothing", async (_where, digit) => {
    const digest = sha256(plain);
    writeFileSync(blobPath(join(root, "io.containerd.content.v1.content"), digest), plain);
    const encrypted = `sha256:${digit.repeat(64)}`;
    writeMetadata({ id: { parent: SEALED } }, { [digest]: unpacked, [encrypted]: unpacked });
    expect(await outcomeOf([])).toBe("allowed");
  });

  test("but not by an encrypted blob alone", async () => {
    writeMetadata({ id: { parent: SEALED } }, { [LAYER]: unpacked });
    expect(await outcomeOf([])).toBe("asked");
  });
});

describe("a chain that containerd copied for a user namespace", () => {
  test.each([
    ["asks for the Pod's key when it is sealed", SEALED, "asked"],
    ["starts when it is not", PLAIN, "not sealed"],
  ])("%s", async (_what, chain, outcome) => {
    writeMetadata({ id: { parent: `${chain}-1000-1000` }, [`${chain}-1000-1000`]: { parent: chain } });
    expect(await outcomeOf([])).toBe(outcome);
  });
});
