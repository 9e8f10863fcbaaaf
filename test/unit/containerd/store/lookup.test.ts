import { execFileSync } from "node:child_process";
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, onTestFinished, test, vi } from "vitest";
import type { FoundLayer } from "../../../../src/containerd/payload.ts";
import { searchStore } from "../../../../src/containerd/store/lookup.ts";
import { allLayers } from "../../../../src/containerd/store/manifests.ts";
import { Input } from "../../../../src/io/input.ts";
import type { Descriptor } from "../../../../src/spec/descriptor.ts";
import { ContentStore } from "../../../support/content-store.ts";
import { plainBytes } from "../../../support/layer.ts";
import { temporaryFolder } from "../../../support/temporary.ts";

const folder = temporaryFolder();
const descriptors: number[] = [];

afterEach(() => {
  for (const fd of descriptors.splice(0)) closeSync(fd);
});

const newStore = () => new ContentStore(mkdtempSync(join(folder, "root-")));

function newStoreWithLayer() {
  const store = newStore();
  const layer = plainBytes(1000);
  return { store, layer, digest: store.add(layer) };
}

function inputOf(bytes: Uint8Array): Input {
  const path = join(mkdtempSync(join(folder, "stdin-")), "stdin");
  writeFileSync(path, bytes);
  return inputFrom(path);
}

function inputFrom(path: string): Input {
  const fd = openSync(path, "r");
  descriptors.push(fd);
  return new Input(fd, "standard input");
}

const TAR = "application/vnd.oci.image.layer.v1.tar+encrypted";
const GZIP = "application/vnd.oci.image.layer.v1.tar+gzip+encrypted";
const PUBLIC_OPTIONS = "org.opencontainers.image.enc.pubopts";

/** Names a blob of the store; `mark` tells descriptors apart. */
function describing(digest: string, size: number, mark = "", mediaType = TAR): Descriptor {
  return { mediaType, digest, size, annotations: { [PUBLIC_OPTIONS]: mark } };
}

/** The marks of the candidates, group by group. */
function search(store: ContentStore, input: Input, mediaType?: string): (string | undefined)[][] {
  const { layers: candidates } = searchStore(
    input,
    { contentStore: store.folder, useContentStore: true },
    mediaType,
  );
  return [...candidates].map((group) =>
    group.map(({ descriptor }) => descriptor.annotations[PUBLIC_OPTIONS]),
  );
}

const failing = (code: string, message: RegExp) =>
  expect.objectContaining({ code, message: expect.stringMatching(message) });
const NOTHING = failing("NO_PAYLOAD", /fd|descriptor 3.*no manifest in .* names what arrives/);

describe("in a named store", () => {
  test("the layer is found by its first bytes, none of which is taken", () => {
    const store = newStore();
    const layer = plainBytes(300_000);
    const digest = store.add(layer);
    const other = store.add(plainBytes(5000));
    store.addManifest([describing(other, 5000, "other"), describing(digest, layer.length, "right")]);
    const input = inputOf(layer);
    const { layers: candidates, parameters } = searchStore(
      input,
      { contentStore: store.root, useContentStore: true },
      TAR,
    );
    expect([...candidates]).toEqual([
      [
        {
          blob: { file: expect.objectContaining({ size: layer.length }), isInput: false, isRead: false },
          descriptor: {
            mediaType: TAR,
            digest,
            size: layer.length,
            annotations: { [PUBLIC_OPTIONS]: "right" },
          },
        },
      ],
    ]);
    expect(parameters.size).toBe(0);
    const read = Buffer.alloc(layer.length);
    expect(input.fill(read)).toBe(layer.length);
    expect(read.equals(layer)).toBe(true);
  });

  test.each([0, 1, 65_535, 65_536, 65_537])("a layer of %i bytes is found", (length) => {
    const store = newStore();
    const layer = plainBytes(70_000).subarray(0, length);
    const digest = store.add(layer);
    store.addManifest([describing(digest, length, "right")]);
    // What goes on after the layer's bytes is another layer, and the one that goes on is no part of it.
    store.addManifest([describing(store.add(plainBytes(70_001)), 70_001, "longer")]);
    expect(search(store, inputOf(layer))).toEqual([["right"]]);
  });

  test("layers that begin alike are told apart, the one that is a part of the other too", () => {
    const store = newStore();
    const layer = plainBytes(1_000_000);
    const twin = Buffer.from(layer);
    twin[999_999] = (twin[999_999] ?? 0) ^ 1;
    const part = layer.subarray(0, 999_999);
    const layers = [layer, twin, part].map((bytes, i) => describing(store.add(bytes), bytes.length, `${i}`));
    store.addManifest(layers);
    expect([layer, twin, part].map((bytes) => search(store, inputOf(bytes)))).toEqual([
      [["0"]],
      [["1"]],
      [["2"]],
    ]);
  });

  test("layers that begin alike for long are told apart", () => {
    const store = newStore();
    const size = 16_777_216 + 100;
    const paths = ["a", "b"].map((end) => {
      const digest = store.add(end);
      truncateSync(store.path(digest), 0);
      const fd = openSync(store.path(digest), "r+");
      writeSync(fd, end, size - 1);
      closeSync(fd);
      store.addManifest([describing(digest, size, end)]);
      return store.path(digest);
    });
    expect(paths.map((path) => search(store, inputFrom(path)))).toEqual([[["a"]], [["b"]]]);
  });

  test("every manifest's descriptor is a candidate, each once, the newest first", () => {
    const { store, layer, digest } = newStoreWithLayer();
    for (const mark of ["first", "second", "first", "third"]) {
      store.addManifest([describing(digest, layer.length, mark), describing(digest, layer.length, mark)]);
      store.add(`{"noise":"${mark}"}`);
    }
    expect(search(store, inputOf(layer))).toEqual([["third", "first", "second"]]);
  });

  test("manifests older than many other blobs count, too", () => {
    const { store, layer, digest } = newStoreWithLayer();
    store.addManifest([describing(digest, layer.length, "old")]);
    for (let i = 0; i < 300; i++) store.add(`{"noise":${i}}`);
    store.addManifest([describing(digest, layer.length, "new")]);
    expect(search(store, inputOf(layer))).toEqual([["new", "old"]]);
  });

  test("the same annotations under another media type are another descriptor", () => {
    const { store, layer, digest } = newStoreWithLayer();
    store.addManifest([describing(digest, layer.length, "a", GZIP)]);
    store.addManifest([describing(digest, layer.length, "a", TAR)]);
    expect(search(store, inputOf(layer), TAR)).toEqual([["a"]]);
    expect(search(store, inputOf(layer))).toEqual([["a", "a"]]);
  });

  test("a pull that does not hold the layer's blob does not prefer its manifest", () => {
    const { store, layer, digest } = newStoreWithLayer();
    const other = store.add("another pull's layer");
    const stranger = store.addManifest([describing(digest, layer.length, "stranger")]);
    store.addManifest([describing(digest, layer.length, "right")]);
    store.lease(stranger, other);
    expect(search(store, inputOf(layer))).toEqual([["right", "stranger"]]);
  });

  test("a leased document above its cap is not read", () => {
    const { store, layer, digest } = newStoreWithLayer();
    const named = JSON.stringify(describing(digest, layer.length, "large"));
    const large = store.add(`{"layers":[${named}],"x":"${"x".repeat(4_194_304)}"}`);
    store.addManifest([describing(digest, layer.length, "right")]);
    store.lease(large, digest);
    expect(search(store, inputOf(layer))).toEqual([["right"]]);
  });

  test("a link in a circle among the blobs names nothing", () => {
    const { store, layer, digest } = newStoreWithLayer();
    store.addManifest([describing(digest, layer.length, "right")]);
    symlinkSync("circle", store.path("sha256:circle"));
    expect(search(store, inputOf(layer))).toEqual([["right"]]);
  });

  test("metadata that is a FIFO is not waited for", () => {
    const { store, layer, digest } = newStoreWithLayer();
    store.addManifest([describing(digest, layer.length, "right")]);
    mkdirSync(join(store.root, "io.containerd.metadata.v1.bolt"));
    execFileSync("mkfifo", [join(store.root, "io.containerd.metadata.v1.bolt/meta.db")]);
    expect(search(store, inputOf(layer))).toEqual([["right"]]);
  });

  test("the manifest of a pull under way comes before newer ones", () => {
    const { store, layer, digest } = newStoreWithLayer();
    const pulled = store.addManifest([describing(digest, layer.length, "pulled")]);
    store.addManifest([describing(digest, layer.length, "newer")]);
    store.lease(pulled, digest);
    expect(search(store, inputOf(layer))).toEqual([["pulled"], ["newer"]]);
  });

  test("descriptors of the media type that containerd tells are preferred", () => {
    const { store, layer, digest } = newStoreWithLayer();
    store.addManifest([
      describing(digest, layer.length, "tar", TAR),
      describing(digest, layer.length, "gzip", GZIP),
    ]);
    expect(search(store, inputOf(layer), GZIP)).toEqual([["gzip"]]);
    expect(search(store, inputOf(layer), TAR)).toEqual([["tar"]]);
    expect(search(store, inputOf(layer), "x+encrypted")).toEqual([["tar", "gzip"]]);
    expect(search(store, inputOf(layer))).toEqual([["tar", "gzip"]]);
  });

  test("no more descriptors than the limit are tried", () => {
    const { store, layer, digest } = newStoreWithLayer();
    const many = Array.from({ length: 10 }, (_, i) => describing(digest, layer.length, `${i}`));
    store.addManifest(many);
    expect(search(store, inputOf(layer))).toEqual([["0", "1", "2", "3"]]);
    for (let i = 10; i < 100; i++) store.addManifest([describing(digest, layer.length, `${i}`)]);
    expect(search(store, inputOf(layer))[0]).toHaveLength(64);
  });

  test("a leased manifest that is pruned meanwhile names nothing", () => {
    const { store, layer, digest } = newStoreWithLayer();
    const pruned = store.addManifest([describing(digest, layer.length, "pruned")]);
    store.addManifest([describing(digest, layer.length, "old")]);
    store.lease(pruned, digest);
    const options = { contentStore: store.folder, useContentStore: true };
    const groups = searchStore(inputOf(layer), options, TAR).layers[Symbol.iterator]();
    const marks = () =>
      groups.next().value?.map(({ descriptor }: FoundLayer) => descriptor.annotations[PUBLIC_OPTIONS]);
    expect(marks()).toEqual(["pruned"]);
    rmSync(store.path(pruned));
    expect(marks()).toEqual(["old"]);
    expect(groups.next().done).toBe(true);
  });

  test("when all are pruned meanwhile, that none is there is the answer", () => {
    const { store, layer, digest } = newStoreWithLayer();
    const pruned = store.addManifest([describing(digest, layer.length)]);
    store.lease(pruned, digest);
    rmSync(store.path(pruned));
    expect(() => search(store, inputOf(layer))).toThrow(NOTHING);
  });
});

describe("what is no descriptor of the layer", () => {
  const layer = plainBytes(1000);

  test.each<[string, (digest: string) => unknown]>([
    [
      "a layer that isn't encrypted",
      (digest) => ({ layers: [describing(digest, 1000, "", "application/vnd.oci.image.layer.v1.tar")] }),
    ],
    ["a layer of another size", (digest) => ({ layers: [describing(digest, 999)] })],
    ["an index", (digest) => ({ manifests: [describing(digest, 1000)] })],
    ["a manifest's config", (digest) => ({ config: describing(digest, 1000), layers: [] })],
    ["layers that are no list", (digest) => ({ layers: describing(digest, 1000) })],
    [
      "an annotation that is no text",
      (digest) => ({ layers: [{ ...describing(digest, 1000), annotations: { a: 1 } }] }),
    ],
    ["more layers than any image has", (digest) => ({ layers: Array(1025).fill(describing(digest, 1000)) })],
    ["a list", (digest) => [describing(digest, 1000)]],
  ])("%s", (_what, document) => {
    const store = newStore();
    store.add(JSON.stringify(document(store.add(layer))));
    expect(() => search(store, inputOf(layer))).toThrow(NOTHING);
  });

  test.each<[string, (digest: string) => string]>([
    [
      "a manifest larger than registries take",
      (digest) => `{"layers":[${JSON.stringify(describing(digest, 1000))}],"x":"${"x".repeat(4_194_304)}"}`,
    ],
    [
      "JSON nested very deep",
      (digest) => `{"layers":${"[".repeat(100_000)}"${digest}"${"]".repeat(100_000)}}`,
    ],
    ["JSON that is cut", (digest) => `{"layers":[${JSON.stringify(describing(digest, 1000))}]`],
  ])("%s", (_what, text) => {
    const store = newStore();
    store.add(text(store.add(layer)));
    expect(() => search(store, inputOf(layer))).toThrow(NOTHING);
  });

  test("a digest that is a path", () => {
    const store = newStore();
    writeFileSync(join(store.folder, "layer"), layer);
    store.addManifest([describing("sha256:../../layer", 1000), describing("../layer", 1000)]);
    expect(() => search(store, inputOf(layer))).toThrow(NOTHING);
  });

  test("a manifest of whose layers only the first 64 KiB are the same", () => {
    const store = newStore();
    const stored = plainBytes(100_000);
    store.addManifest([describing(store.add(stored), stored.length)]);
    const arriving = Buffer.from(stored);
    arriving[65_535] = (arriving[65_535] ?? 0) ^ 1;
    expect(() => search(store, inputOf(arriving))).toThrow(NOTHING);
  });

  test("a manifest whose layer is gone", () => {
    const store = newStore();
    store.addManifest([describing(`sha256:${"0".repeat(64)}`, 1000)]);
    expect(() => search(store, inputOf(layer))).toThrow(NOTHING);
  });
});

test("a search of all manifests ends after 3 s", () => {
  const store = newStore();
  const digest = `sha256:${"0".repeat(64)}`;
  // Each look at the clock shows one second more.
  let now = 0;
  const clock = vi.spyOn(performance, "now").mockImplementation(() => (now += 1000));
  onTestFinished(() => clock.mockRestore());
  for (const mark of ["a", "b", "c"]) store.addManifest([describing(digest, 1, mark)]);
  expect(allLayers(store.folder)).toMatchObject({ layers: { length: 3 }, isComplete: true });
  store.addManifest([describing(digest, 1, "d")]);
  expect(allLayers(store.folder)).toMatchObject({ layers: { length: 3 }, isComplete: false });
});

test("a search that has listed all manifests, but not read them in 3 s, is not complete", () => {
  const store = newStore();
  const digest = `sha256:${"0".repeat(64)}`;
  const marks = ["a", "b", "c", "d"];
  for (const mark of marks) store.addManifest([describing(digest, 1, mark)]);
  // The clock stands while they are listed: it is looked at once at the start, and once for each.
  let [now, looks] = [0, 0];
  const clock = vi.spyOn(performance, "now").mockImplementation(() => {
    looks += 1;
    now += looks > 1 + marks.length ? 1000 : 0;
    return now;
  });
  onTestFinished(() => clock.mockRestore());
  expect(allLayers(store.folder)).toMatchObject({ layers: { length: 3 }, isComplete: false });
});

test("a folder that is no content store is told", () => {
  mkdirSync(join(folder, "empty"));
  const options = { contentStore: join(folder, "empty"), useContentStore: true };
  const { layers: candidates } = searchStore(inputOf(Buffer.of()), options, TAR);
  expect(() => [...candidates]).toThrow(failing("CONTENT_STORE", /not a content store/));
});

test("nothing is looked up when that is switched off", () => {
  const options = { contentStore: newStore().folder, useContentStore: false };
  expect(() => searchStore(inputOf(Buffer.of()), options, TAR)).toThrow(
    failing("NO_PAYLOAD", /--no-content-store/),
  );
});
