import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, onTestFinished, test, vi } from "vitest";
import { LayerPool } from "../../../src/image/layer-pool.ts";
import type { IndexEntry } from "../../../src/spec/manifest.ts";
import { blobPath, writeBlob } from "../../support/images.ts";
import { putIndex, putManifest, readDocument, rootOf, snapshot, tagRoot } from "../../support/layouts.ts";
import { temporaryFolder } from "../../support/temporary.ts";
import { decrypt, encrypt, type KeyFiles, layer, makeKey } from "./setup.ts";

const folder = temporaryFolder();
const plain = join(folder, "plain");
const encrypted = join(folder, "encrypted");
let key: KeyFiles;
/** The entries of the plain index, by what they are. */
const entries = {} as Record<
  "amd64" | "arm64" | "attestation" | "signature" | "nested" | "other",
  IndexEntry
>;

const ENTRY = { annotations: { "com.example.entry": "<&>" }, "x.entry": [1] };
const REFERENCE = (digest: string, type = "attestation-manifest") => ({
  platform: { os: "unknown", architecture: "unknown" },
  annotations: { "vnd.docker.reference.type": type, "vnd.docker.reference.digest": digest },
});

beforeAll(async () => {
  key = await makeKey(join(folder, "keys"), "a");
  const shared = await layer("in both platforms");
  const own = await layer("only here", "none", { annotations: { "com.example.layer": "kept" } });
  const manifest = { annotations: { "com.example.manifest": "kept" }, "x.number": 1 };
  entries.amd64 = putManifest(plain, [shared, own], {
    platform: { os: "linux", architecture: "amd64", "os.features": ["a"] },
    manifest,
    entry: ENTRY,
    indent: 2,
  });
  entries.arm64 = putManifest(plain, [shared], {
    platform: { os: "linux", architecture: "arm64" },
    indent: 3,
  });
  entries.attestation = putManifest(plain, [await layer("attested")], {
    entry: REFERENCE(entries.amd64.digest),
    manifest: {
      subject: { mediaType: entries.amd64.mediaType, digest: entries.amd64.digest, size: entries.amd64.size },
    },
  });
  entries.signature = putManifest(plain, [await layer("signed")], {
    manifest: {
      artifactType: "application/vnd.example.signature",
      config: writeBlob(plain, "application/vnd.oci.empty.v1+json", Buffer.from("{}")),
      subject: {
        mediaType: entries.attestation.mediaType,
        digest: entries.attestation.digest,
        size: entries.attestation.size,
      },
    },
  });
  entries.nested = putIndex(plain, [entries.arm64], { annotations: { "com.example.nested": "kept" } });
  entries.other = writeBlob(plain, "application/vnd.example.unknown+json", Buffer.from('{"kept":true}'));
  const order = [entries.signature, entries.attestation, entries.amd64, entries.nested, entries.other];
  tagRoot(
    plain,
    putIndex(plain, order, { artifactType: "application/vnd.example.index", "x.index": { deep: 1.5 } }),
  );
  await encrypt(`oci:${plain}`, `oci:${encrypted}:v1`, { recipients: [key.recipient] });
});

const index = () => readDocument(encrypted, rootOf(encrypted));

test("an index keeps its order, platforms, annotations and unknown members", () => {
  const [signature, attestation, amd64, nested, other] = index().manifests;
  expect(index()).toMatchObject({ artifactType: "application/vnd.example.index", "x.index": { deep: 1.5 } });
  expect(amd64).toMatchObject({
    ...ENTRY,
    platform: { os: "linux", architecture: "amd64", "os.features": ["a"] },
  });
  expect(readDocument(encrypted, amd64)).toMatchObject({
    annotations: { "com.example.manifest": "kept" },
    "x.number": 1,
  });
  expect(readDocument(encrypted, nested)).toMatchObject({ annotations: { "com.example.nested": "kept" } });
  expect(other).toEqual(entries.other);
  expect(readDocument(encrypted, other)).toEqual({ kept: true });
  expect(readDocument(encrypted, signature).artifactType).toBe("application/vnd.example.signature");
  expect(attestation.platform).toEqual({ os: "unknown", architecture: "unknown" });
});

test("every layer of every platform is encrypted, and keeps its annotations", () => {
  const [, , amd64, nested] = index().manifests;
  const [arm64] = readDocument(encrypted, nested).manifests;
  const layers = [...readDocument(encrypted, amd64).layers, ...readDocument(encrypted, arm64).layers];
  expect(layers.map((it) => it.mediaType.split(".").at(-1))).toEqual([
    "tar+gzip+encrypted",
    "tar+encrypted",
    "tar+gzip+encrypted",
  ]);
  expect(layers[1].annotations).toMatchObject({ "com.example.layer": "kept" });
  expect(layers[0]).toEqual(layers[2]);
});

test("attestations and signatures stay readable and follow what they are about", () => {
  const [signature, attestation, amd64] = index().manifests;
  expect(attestation.annotations["vnd.docker.reference.digest"]).toBe(amd64.digest);
  const attested = readDocument(encrypted, attestation);
  expect(attested.subject).toEqual({ mediaType: amd64.mediaType, digest: amd64.digest, size: amd64.size });
  expect(attested.layers).toEqual(readDocument(plain, entries.attestation).layers);
  const signed = readDocument(encrypted, signature);
  expect(signed.subject).toMatchObject({ digest: attestation.digest, size: attestation.size });
});

test("no plain layer of an image is left in the result", () => {
  for (const { digest } of [
    ...readDocument(plain, entries.amd64).layers,
    ...readDocument(plain, entries.arm64).layers,
  ]) {
    expect(existsSync(blobPath(encrypted, digest))).toBe(false);
  }
});

test("decrypted, it is the very image that was encrypted", async () => {
  const decrypted = join(folder, "decrypted");
  const jobs = vi.spyOn(LayerPool.prototype, "run");
  onTestFinished(() => jobs.mockRestore());
  await decrypt(`oci:${encrypted}`, `oci:${decrypted}:v1`, key);
  // Three layers, of which two are the same.
  expect(jobs.mock.calls.filter(([{ kind }]) => kind === "decrypt")).toHaveLength(2);
  expect(rootOf(decrypted)).toEqual(rootOf(plain));
  expect(new Map([...snapshot(plain), ...snapshot(decrypted)])).toEqual(snapshot(plain));
});

test("a platform that isn't chosen keeps its manifest", async () => {
  const target = join(folder, "one-platform");
  const selection = { platforms: ["linux/arm64"], layers: [], exceptBase: 0 };
  const result = await encrypt(`oci:${plain}`, `oci:${target}:v1`, {
    recipients: [key.recipient],
    selection,
  });
  expect(result).toMatchObject({
    keptLayers: 2,
    attachments: 2,
    layers: [{ platform: "linux/arm64", position: 0 }],
  });
  const [signature, attestation, amd64, nested] = readDocument(target, rootOf(target)).manifests;
  expect([signature, attestation, amd64]).toEqual([entries.signature, entries.attestation, entries.amd64]);
  expect(nested.digest).not.toBe(entries.nested.digest);
});

test("a missing blob is named, and nothing is written", async () => {
  const damaged = join(folder, "damaged");
  await decrypt(`oci:${encrypted}`, `oci:${damaged}:v1`, key);
  const [, lost] = readDocument(damaged, entries.amd64).layers;
  rmSync(blobPath(damaged, lost.digest));
  const failed = encrypt(`oci:${damaged}`, `oci:${folder}/none:v1`, { recipients: [key.recipient] });
  await expect(failed).rejects.toMatchObject({
    code: "NOT_FOUND",
    message: expect.stringContaining(lost.digest),
  });
  expect(existsSync(join(folder, "none"))).toBe(false);
});
