import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync, zstdCompressSync } from "node:zlib";
import { beforeAll, describe, expect, test } from "vitest";
import { SILENT } from "../../../src/image/progress.ts";
import { rewrapImage } from "../../../src/image/rewrap.ts";
import { EVERYTHING } from "../../../src/image/select.ts";
import { verifyImage } from "../../../src/image/verify.ts";
import { LIMITS } from "../../../src/limits.ts";
import { parsePlace } from "../../../src/oci/reference.ts";
import {
  DOCKER_CONFIG,
  DOCKER_MANIFEST,
  OCI_CONFIG,
  OCI_INDEX,
  OCI_MANIFEST,
} from "../../../src/spec/media-types.ts";
import { blobPath, diffId, tar, writeBlob } from "../../support/images.ts";
import {
  copyLayout,
  type LayerContent,
  putIndex,
  putManifest,
  readDocument,
  rootOf,
  tagRoot,
} from "../../support/layouts.ts";
import { temporaryFolder } from "../../support/temporary.ts";
import { decrypt, encrypt, type KeyFiles, keySet, layer, makeKey, SETTINGS } from "./setup.ts";

const folder = temporaryFolder();
let [a, b]: KeyFiles[] = [];
let count = 0;

beforeAll(async () => {
  a = await makeKey(join(folder, "keys"), "a");
  b = await makeKey(join(folder, "keys"), "b");
});

const key = (which: KeyFiles | undefined): KeyFiles => {
  if (which === undefined) throw new Error("no key");
  return which;
};
const fresh = () => join(folder, String(count++));

async function image(
  layers: readonly LayerContent[],
  options: Parameters<typeof putManifest>[2] = {},
): Promise<string> {
  const path = fresh();
  tagRoot(path, putManifest(path, layers, options));
  return path;
}

/** Encrypts for key a and returns the new layout. */
async function encrypted(source: string, options: Parameters<typeof encrypt>[2] = {}): Promise<string> {
  const path = fresh();
  await encrypt(`oci:${source}`, `oci:${path}:v1`, { recipients: [key(a).recipient], ...options });
  return path;
}

async function decrypted(source: string, which = a): Promise<string> {
  const path = fresh();
  await decrypt(`oci:${source}`, `oci:${path}:v1`, key(which));
  return path;
}

const manifest = (path: string) => readDocument(path, rootOf(path));

describe("encrypt", () => {
  test("removes what leads to the plain content", async () => {
    const embedded = await layer("embedded");
    const extra = {
      data: Buffer.from(embedded.bytes).toString("base64"),
      urls: ["https://example.com/layer"],
    };
    const [made] = manifest(await encrypted(await image([{ ...embedded, extra }]))).layers;
    expect(Object.keys(made).sort()).toEqual(["annotations", "digest", "mediaType", "size"]);
  });

  test("embeds the new manifest where the old one was embedded", async () => {
    const path = fresh();
    const entry = putManifest(path, [await layer("x")], { platform: { os: "linux", architecture: "amd64" } });
    const data = readFileSync(blobPath(path, entry.digest)).toString("base64");
    tagRoot(path, putIndex(path, [{ ...entry, data }]));
    const target = await encrypted(path);
    const [made] = manifest(target).manifests;
    expect(made.data).toBe(readFileSync(blobPath(target, made.digest)).toString("base64"));
  });

  test("turns Docker's types into OCI's", async () => {
    const { bytes, diffId } = await layer("docker");
    const path = fresh();
    const config = writeBlob(
      path,
      DOCKER_CONFIG,
      Buffer.from(
        JSON.stringify({
          os: "linux",
          architecture: "amd64",
          rootfs: { type: "layers", diff_ids: [diffId, diffId] },
        }),
      ),
    );
    const layers = [writeBlob(path, "application/vnd.docker.image.rootfs.diff.tar.gzip", bytes)];
    const foreign = {
      mediaType: "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
      digest: diffId,
      size: 7,
      urls: ["https://example.com"],
    };
    const text = JSON.stringify({
      schemaVersion: 2,
      mediaType: DOCKER_MANIFEST,
      config,
      layers: [...layers, foreign],
    });
    tagRoot(path, writeBlob(path, DOCKER_MANIFEST, Buffer.from(text)));
    const target = await encrypted(path, { selection: { ...EVERYTHING, layers: [0] } });
    expect(rootOf(target).mediaType).toBe(OCI_MANIFEST);
    expect(manifest(target)).toMatchObject({
      mediaType: OCI_MANIFEST,
      config: { ...config, mediaType: OCI_CONFIG },
      layers: [
        { mediaType: "application/vnd.oci.image.layer.v1.tar+gzip+encrypted" },
        { ...foreign, mediaType: "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip" },
      ],
    });
  });

  test("compresses, and leaves zstd alone", async () => {
    const text = await tar({ a: Buffer.from("zstd") });
    const zstd: LayerContent = { bytes: zstdCompressSync(text), compression: "zstd", diffId: diffId(text) };
    const source = await image([await layer("plain", "none"), await layer("packed"), zstd]);
    const types = (path: string) =>
      manifest(path).layers.map((it: { mediaType: string }) => it.mediaType.split("v1.").at(-1));
    const [gzip, none] = [
      await encrypted(source, { compression: "gzip" }),
      await encrypted(source, { compression: "none" }),
    ];
    expect(types(gzip)).toEqual(["tar+gzip+encrypted", "tar+gzip+encrypted", "tar+zstd+encrypted"]);
    expect(types(none)).toEqual(["tar+encrypted", "tar+encrypted", "tar+zstd+encrypted"]);

    const again = await encrypted(source, { compression: "gzip" });
    const [first, second] = [await decrypted(gzip), await decrypted(again)];
    expect(rootOf(first).digest).toBe(rootOf(second).digest);
    for (const path of [first, await decrypted(none)]) {
      const ids = manifest(path).layers.map(({ digest }: { digest: string }) =>
        diffId(readFileSync(blobPath(path, digest))),
      );
      expect(ids).toEqual(readDocument(path, manifest(path).config).rootfs.diff_ids);
    }
  });

  test("fails for a chosen layer that is none, and leaves others alone", async () => {
    const source = await image([
      await layer("x"),
      { ...(await layer("y")), extra: { mediaType: "application/vnd.example.model" } },
    ]);
    await expect(encrypted(source)).rejects.toMatchObject({ code: "BAD_MEDIA_TYPE" });
    const made = manifest(await encrypted(source, { selection: { ...EVERYTHING, layers: [0] } }));
    expect(made.layers[1].mediaType).toBe("application/vnd.example.model");
  });

  test("fails where nothing is left to encrypt", async () => {
    const source = await image([await layer("x")]);
    await expect(encrypted(source, { selection: { ...EVERYTHING, exceptBase: 1 } })).rejects.toMatchObject({
      code: "NOT_FOUND",
    });
  });

  test("fails before anything is read for a recipient that is none", async () => {
    const recipients = [key(a).recipient, `jwe:${key(b).file}.none`];
    await expect(encrypt("oci:nowhere", "oci:nowhere", { recipients })).rejects.toMatchObject({
      code: "BAD_RECIPIENT",
    });
  });

  test("stops when told to, and leaves nothing", async () => {
    const [source, target] = [await image([await layer("x")]), fresh()];
    const signal = AbortSignal.abort();
    const stopped = encrypt(`oci:${source}`, `oci:${target}`, { recipients: [key(a).recipient], signal });
    await expect(stopped).rejects.toMatchObject({ code: "INTERRUPTED" });
    expect(existsSync(target)).toBe(false);
  });
});

describe("recipients", () => {
  const opens = async (path: string, which: KeyFiles | undefined) =>
    await decrypted(path, which).then(
      () => true,
      (error) => (error.code === "NO_KEY" ? false : Promise.reject(error)),
    );

  test("are added without touching the data", async () => {
    const source = await encrypted(await image([await layer("x")]));
    const keys = await keySet(key(a));
    const both = await encrypted(source, { recipients: [], addRecipients: [key(b).recipient], keys });
    const [before, after] = [manifest(source).layers[0], manifest(both).layers[0]];
    expect(after).toMatchObject({ digest: before.digest, size: before.size, mediaType: before.mediaType });
    expect(after.annotations["org.opencontainers.image.enc.keys.jwe"]).toMatch(
      new RegExp(
        `^${before.annotations["org.opencontainers.image.enc.keys.jwe"].replace(/[+]/g, "\\+")},[^,]+$`,
      ),
    );
    expect([await opens(both, a), await opens(both, b)]).toEqual([true, true]);
  });

  test("are not added to encrypted layers by mistake, nor left out for plain ones", async () => {
    const source = await image([await layer("x"), await layer("y")]);
    const half = await encrypted(source, { selection: { ...EVERYTHING, layers: [0] } });
    await expect(encrypted(half)).rejects.toMatchObject({ code: "BAD_MEDIA_TYPE" });
    const keys = await keySet(key(a));
    const added = { recipients: [], addRecipients: [key(b).recipient], keys };
    await expect(encrypted(half, added)).rejects.toMatchObject({ code: "BAD_RECIPIENT" });
    const all = await encrypted(half, { ...added, recipients: [key(b).recipient] });
    expect([await opens(all, a), await opens(all, b)]).toEqual([false, true]);
  });

  test.each([
    { keep: false, opened: [false, true] },
    { keep: true, opened: [true, true] },
  ])("are changed by rewrap, keep: $keep", async ({ keep, opened }) => {
    const [source, target] = [await encrypted(await image([await layer("x")])), fresh()];
    const keys = await keySet(key(a));
    const places = { source: parsePlace(`oci:${source}`), target: parsePlace(`oci:${target}:v1`) };
    const options = { ...places, keys, keep, recipients: [key(b).recipient], settings: SETTINGS };
    await rewrapImage({ ...options, replace: false, progress: SILENT, selection: EVERYTHING });
    expect(manifest(target).layers[0].digest).toBe(manifest(source).layers[0].digest);
    expect([await opens(target, a), await opens(target, b)]).toEqual(opened);
  });
});

describe("decrypt", () => {
  test("fails where nothing is encrypted", async () => {
    await expect(decrypted(await image([await layer("x")]))).rejects.toMatchObject({ code: "NOT_FOUND" });
  });

  test("leaves nothing of a layer that is not authentic", async () => {
    const source = await encrypted(await image([await layer("x")]));
    forge(source);
    const target = fresh();
    await expect(decrypt(`oci:${source}`, `oci:${target}`, key(a))).rejects.toMatchObject({
      code: "AUTHENTICATION",
    });
    expect(existsSync(target)).toBe(false);
  });
});

/** Flips a bit of the first layer, and gives the manifest the digest of the result: only the HMAC can tell. */
function forge(path: string): void {
  const document = manifest(path);
  const [first, ...others] = document.layers;
  const bytes = readFileSync(blobPath(path, first.digest));
  bytes[20] = (bytes[20] ?? 0) ^ 1;
  const forged = { ...first, ...writeBlob(path, first.mediaType, bytes) };
  const text = JSON.stringify({ ...document, layers: [forged, ...others] });
  tagRoot(path, writeBlob(path, OCI_MANIFEST, Buffer.from(text)));
}

describe("verify", () => {
  const verify = async (path: string, which = a) =>
    await verifyImage({
      source: parsePlace(`oci:${path}`),
      keys: await keySet(key(which)),
      settings: SETTINGS,
      selection: EVERYTHING,
      progress: SILENT,
    });
  const codes = async (path: string, which = a) =>
    (await verify(path, which)).failures.map(({ position, code }) => [position, code]);

  test("finds nothing wrong with a good image", async () => {
    const source = await encrypted(await image([await layer("x"), await layer("y", "none")]));
    const { layers, failures, bytes } = await verify(source);
    expect([layers.length, failures]).toEqual([2, []]);
    expect(bytes).toBe(manifest(source).layers[0].size + manifest(source).layers[1].size);
  });

  test("names each layer that is bad, and goes on", async () => {
    const source = await encrypted(await image([await layer("x"), await layer("y"), await layer("z")]));
    forge(source);
    const { digest } = manifest(source).layers[1];
    writeFileSync(blobPath(source, digest), Buffer.alloc(readFileSync(blobPath(source, digest)).length));
    expect(await codes(source)).toEqual([
      [0, "AUTHENTICATION"],
      [1, "DIGEST_MISMATCH"],
    ]);
    expect(await codes(source, b)).toEqual([
      [0, "NO_KEY"],
      [1, "NO_KEY"],
      [2, "NO_KEY"],
    ]);
  });

  test.each([
    ["no tar archive", Buffer.alloc(3000, "x"), "none"],
    ["a tar archive that is cut", Buffer.from("cut"), "none"],
    ["no gzip data", Buffer.alloc(3000, "x"), "gzip"],
    ["gzip data that is cut", Buffer.from("cut"), "gzip"],
  ] as const)("finds %s", async (_, content, compression) => {
    const good = await layer("some text", compression);
    const bytes = content.length === 3 ? good.bytes.subarray(0, good.bytes.length / 3) : content;
    const source = await encrypted(await image([{ ...good, bytes }]));
    expect(await codes(source)).toEqual([[0, "BAD_IMAGE"]]);
  });

  test("finds a layer that is another than the configuration says", async () => {
    const wrong = { ...(await layer("x")), diffId: `sha256:${"0".repeat(64)}` };
    expect(await codes(await encrypted(await image([wrong])))).toEqual([[0, "DIGEST_MISMATCH"]]);
  });
});

describe("an image that is malformed is refused:", () => {
  const refused = async (path: string, code: string) => {
    const target = fresh();
    const failed = encrypt(`oci:${path}`, `oci:${target}`, { recipients: [key(a).recipient] });
    await expect(failed).rejects.toMatchObject({ code });
    expect(existsSync(target)).toBe(false);
  };

  test("a manifest that is an index too", async () => {
    await refused(await image([await layer("x")], { manifest: { manifests: [] } }), "BAD_IMAGE");
  });

  test("a manifest that says it is something else", async () => {
    await refused(await image([await layer("x")], { manifest: { mediaType: OCI_INDEX } }), "BAD_IMAGE");
  });

  test("a manifest whose bytes are not what its digest says", async () => {
    const path = copyLayout(await image([await layer("x")]), fresh());
    const { digest, size } = rootOf(path);
    writeFileSync(blobPath(path, digest), Buffer.alloc(size, " "));
    await refused(path, "DIGEST_MISMATCH");
  });

  test("indexes nested too deep", async () => {
    const path = fresh();
    let entry = putManifest(path, [await layer("x")]);
    for (let depth = 0; depth <= LIMITS.indexDepth; depth++) entry = putIndex(path, [entry]);
    tagRoot(path, entry);
    await refused(path, "LIMIT");
  });

  test("an index that names another a thousand times, which does the same", async () => {
    const path = fresh();
    let entry = putManifest(path, [await layer("x")]);
    for (let depth = 0; depth < 4; depth++)
      entry = putIndex(
        path,
        Array.from({ length: LIMITS.indexEntries }, () => entry),
      );
    tagRoot(path, entry);
    await refused(path, "LIMIT");
  });

  test("something that is no image at all", async () => {
    const path = fresh();
    tagRoot(path, writeBlob(path, "text/plain", gunzipSync((await layer("x")).bytes)));
    await refused(path, "BAD_IMAGE");
  });
});
