import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { beforeAll, expect, test } from "vitest";
import type { IndexEntry } from "../../src/spec/manifest.ts";
import { OCI_CONFIG, OCI_MANIFEST } from "../../src/spec/media-types.ts";
import { command, type KeyPairFiles, ONE_ERROR, rsaKeys, succeed } from "../support/cli.ts";
import { damageTo } from "../support/damage.ts";
import { blobPath, diffId, sha256, tar, writeBlob } from "../support/images.ts";
import {
  copyLayout,
  putIndex,
  putManifest,
  readDocument,
  rootOf,
  snapshot,
  tagRoot,
} from "../support/layouts.ts";
import { describeWith, ours } from "../support/peers.ts";
import { temporaryFolder } from "../support/temporary.ts";

/** Images that no tool makes. Each causes one clear error. If the destination already has an image, that image is not changed. */
const folder = temporaryFolder();
const good = join(folder, "good");
let keys: KeyPairFiles;
let goodTar: Buffer;
let count = 0;

beforeAll(async () => {
  keys = await rsaKeys(join(folder, "keys"), "node");
  goodTar = await tar({ "hello.txt": Buffer.alloc(3000, "hello") });
  const layers = [goodTar, await tar({ two: Buffer.from("2") })].map(
    (bytes) => ({ bytes, compression: "none", diffId: diffId(bytes) }) as const,
  );
  tagRoot(good, putManifest(good, layers));
});

const fresh = () => join(folder, String(count++));
const { damaged, layerOf, changed, layoutEntries, archiveOf, stored, replaced, promisingMuch } = damageTo(
  good,
  fresh,
);

type Case = readonly [name: string, make: () => Promise<string> | string, message: RegExp];

const CASES: readonly Case[] = [
  [
    "a truncated archive",
    async () => stored((await archiveOf(layoutEntries())).subarray(0, 2500)),
    /not a complete tar archive|has no oci-layout/,
  ],
  [
    "a truncated compressed archive",
    async () => stored(gzipSync(await archiveOf(layoutEntries())).subarray(0, 300)),
    /damaged/,
  ],
  [
    "a layer with other bytes",
    () => replaced(0, (path) => writeFileSync(path, Buffer.alloc(goodTar.length))),
    /sha256:[0-9a-f]{64} have another digest/,
  ],
  ["a layer of another size", () => replaced(0, (path) => writeFileSync(path, "short")), /has 5 bytes, but/],
  ["a missing layer", () => replaced(1, () => undefined), /sha256:[0-9a-f]{64} is missing/],
  ["a layer that is a folder", () => replaced(1, (path) => mkdirSync(path)), /not a regular file/],
  [
    "a layer that is a link to nothing",
    () => replaced(1, (path) => symlinkSync("/nowhere", path)),
    /is missing/,
  ],
  [
    "a layer that is a device",
    () => replaced(1, (path) => symlinkSync("/dev/zero", path)),
    /not a regular file/,
  ],
  [
    "a missing configuration",
    () => {
      const layout = damaged();
      rmSync(blobPath(layout, readDocument(layout, rootOf(layout)).config.digest));
      return `oci:${layout}`;
    },
    /is missing/,
  ],
  [
    "a name that leads out of the archive",
    async () =>
      stored(await archiveOf([...layoutEntries(), { name: "../../etc/cron.d/x", body: Buffer.from("x") }])),
    /leads out/,
  ],
  [
    "an absolute name",
    async () =>
      stored(await archiveOf([{ name: "/etc/cron.d/x", body: Buffer.from("x") }, ...layoutEntries()])),
    /leads out/,
  ],
  ...(["symlink", "link", "character-device", "block-device", "fifo"] as const).map(
    (type) =>
      [
        `a layer that is a ${type} in the archive`,
        async () => {
          const name = `blobs/${layerOf(good, 0).replace(":", "/")}`;
          const entries = layoutEntries().map((entry) =>
            entry.name === name ? { name, type, linkname: "/etc/passwd" } : entry,
          );
          return stored(await archiveOf(entries));
        },
        new RegExp(`a ${type}`),
      ] as const,
  ),
  [
    "a digest that is a path",
    () =>
      changed((it) => ({
        ...it,
        config: { mediaType: OCI_CONFIG, digest: "sha256:../../../../etc/passwd", size: 1 },
      })),
    /digest/,
  ],
  ["an entry that promises 10 GiB", () => stored(promisingMuch("index.json")), /not a complete tar archive/],
  [
    "a layer that promises 10 GiB",
    () =>
      changed((it) => ({
        ...it,
        layers: (it["layers"] as object[]).map((layer) => ({ ...layer, size: 10 * 1024 ** 3 })),
      })),
    /but the image says 10737418240/,
  ],
  [
    "a manifest that promises 10 GiB",
    () => {
      const layout = damaged();
      tagRoot(layout, { ...rootOf(layout), size: 10 * 1024 ** 3 });
      truncateSync(blobPath(layout, rootOf(layout).digest), 10 * 1024 ** 3);
      return `oci:${layout}`;
    },
    /at most 4194304/,
  ],
  [
    "100,000 layers",
    () => {
      const layout = fresh();
      const bytes = Buffer.from('{"schemaVersion":2,"layers":[');
      const entry = `{"mediaType":"a","digest":"sha256:${"0".repeat(64)}","size":1}`;
      const text = `${bytes}${Array.from({ length: 100_000 }, () => entry).join(",")}],"config":${entry}}`;
      tagRoot(layout, writeBlob(layout, OCI_MANIFEST, Buffer.from(text)));
      return `oci:${layout}`;
    },
    /at most 4194304/,
  ],
  [
    "more layers than a container has",
    () =>
      changed((it) => ({ ...it, layers: Array.from({ length: 2000 }, () => (it["layers"] as object[])[0]) })),
    /2000 layers/,
  ],
  [
    "indexes in indexes in indexes",
    () => {
      const layout = damaged();
      let entry: IndexEntry = rootOf(layout);
      for (let depth = 0; depth < 50; depth++) entry = putIndex(layout, [entry]);
      tagRoot(layout, entry);
      return `oci:${layout}`;
    },
    /deep/,
  ],
  [
    "JSON nested 100,000 deep",
    () => {
      const layout = fresh();
      tagRoot(layout, writeBlob(layout, OCI_MANIFEST, Buffer.from(`{"config":${"[".repeat(100_000)}`)));
      return `oci:${layout}`;
    },
    /not JSON/,
  ],
  [
    "JSON of a million values",
    () => {
      const layout = fresh();
      tagRoot(
        layout,
        writeBlob(layout, OCI_MANIFEST, Buffer.from(`{"config":[${"{},".repeat(1_000_000)}1]}`)),
      );
      return `oci:${layout}`;
    },
    /the image's manifests have more than 524288 values in all/,
  ],
  [
    "a picture",
    () => stored(Buffer.concat([Buffer.from("89504e470d0a1a0a", "hex"), Buffer.alloc(5000, 7)])),
    /not a complete tar archive/,
  ],
  ["a tar archive of something else", () => stored(goodTar), /not an OCI image archive/],
  ["an empty file", () => stored(Buffer.alloc(0)), /not an OCI image archive/],
  [
    "an empty folder",
    () => {
      const path = fresh();
      mkdirSync(path);
      return `oci:${path}`;
    },
    /is not an image layout/,
  ],
  [
    "a file for a folder",
    () => `oci:${stored(goodTar).slice("oci-archive:".length)}`,
    /is a file, not an image layout/,
  ],
  ["a folder for a file", () => `oci-archive:${good}`, /is a directory, not an archive/],
  ["a device", () => "oci-archive:/dev/zero", /not a regular file/],
];

describeWith([ours], "an image that no tool makes causes one error and changes nothing:", {}, () => {
  test.each(CASES)("%s", async (_, make, message) => {
    const source = await make();
    const target = copyLayout(good, fresh());
    // A blob that the destination already has may be missing from the source.
    rmSync(blobPath(target, readDocument(target, rootOf(target)).config.digest));
    const before = snapshot(target);
    for (const place of [`oci:${target}:new`, `oci-archive:${target}/new.tar`]) {
      const { exit, stdout, stderr } = await command([
        "encrypt",
        "--recipient",
        `jwe:${keys.publicKey}`,
        source,
        place,
      ]);
      expect({ exit, stdout: stdout.length }).toEqual({ exit: 1, stdout: 0 });
      expect(stderr.replace(/^(?:\S+ )?layer \d.*\n/gm, "")).toMatch(ONE_ERROR);
      expect(stderr).toMatch(message);
      expect(snapshot(target)).toEqual(before);
    }
  });

  test("an image whose names would move the cursor is shown without doing so", async () => {
    const layout = fresh();
    const layer = {
      bytes: goodTar,
      compression: "none",
      diffId: sha256(goodTar),
      extra: { mediaType: "evil\u001b[2J\u009b31m\r\n" },
    } as const;
    tagRoot(
      layout,
      putManifest(layout, [layer], { platform: { os: "\u001b]0;title\u0007", architecture: "x\ny" } }),
    );
    const shown = await succeed(["inspect", `oci:${layout}`]);
    expect(shown.replaceAll("\n", "")).not.toMatch(/\p{Cc}/u);
    const { stderr } = await command([
      "encrypt",
      "--recipient",
      `jwe:${keys.publicKey}`,
      `oci:${layout}`,
      `oci:${fresh()}`,
    ]);
    expect(stderr).toMatch(ONE_ERROR);
    expect(stderr.replaceAll("\n", "")).not.toMatch(/\p{Cc}/u);
  });
});

describeWith([ours], "a layer that is damaged after it was encrypted", {}, () => {
  test("changes nothing when it is decrypted", async () => {
    const [encrypted, target] = [fresh(), copyLayout(good, fresh())];
    await succeed([
      "encrypt",
      "-q",
      "--recipient",
      `jwe:${keys.publicKey}`,
      `oci:${good}`,
      `oci:${encrypted}:v1`,
    ]);
    const document = readDocument(encrypted, rootOf(encrypted));
    const bytes = readFileSync(blobPath(encrypted, document.layers[1].digest));
    bytes[0] = (bytes[0] ?? 0) ^ 1;
    const forged = { ...document.layers[1], ...writeBlob(encrypted, document.layers[1].mediaType, bytes) };
    const text = JSON.stringify({ ...document, layers: [document.layers[0], forged] });
    tagRoot(encrypted, writeBlob(encrypted, OCI_MANIFEST, Buffer.from(text)));
    const before = snapshot(target);
    const { exit, stderr } = await command([
      "decrypt",
      "-q",
      "--key",
      keys.privateKey,
      `oci:${encrypted}`,
      `oci:${target}:new`,
    ]);
    expect(exit).toBe(1);
    expect(stderr).toMatch(/not authentic/);
    expect(stderr).not.toContain(createHash("sha256").update(bytes).digest("base64"));
    expect(snapshot(target)).toEqual(before);
  });
});
