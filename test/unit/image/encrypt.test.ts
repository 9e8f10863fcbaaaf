import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { zstdCompressSync } from "node:zlib";
import { describe, expect, onTestFinished, test } from "vitest";
import { SILENT } from "../../../src/image/progress.ts";
import { EVERYTHING } from "../../../src/image/select.ts";
import { DOCKER_CONFIG, DOCKER_MANIFEST, OCI_CONFIG, OCI_MANIFEST } from "../../../src/spec/media-types.ts";
import { parseSource } from "../../../src/transport/reference.ts";
import type { SourceReference } from "../../../src/transport/transport.ts";
import { blobPath, diffId, tar, writeBlob } from "../../support/images.ts";
import {
  type LayerContent,
  putIndex,
  putManifest,
  readDocument,
  rootOf,
  tagRoot,
} from "../../support/layouts.ts";
import { decrypt, encrypt, forge, layer, manifest, Workbench } from "./setup.ts";

const bench = new Workbench();

describe("encrypt", () => {
  test("removes what leads to the plain content", async () => {
    const embedded = await layer("embedded");
    const extra = {
      data: Buffer.from(embedded.bytes).toString("base64"),
      urls: ["https://example.com/layer"],
    };
    const [made] = manifest(await bench.encrypted(bench.image([{ ...embedded, extra }]))).layers;
    expect(Object.keys(made).sort()).toEqual(["annotations", "digest", "mediaType", "size"]);
  });

  test("embeds the new manifest where the old one was embedded", async () => {
    const path = bench.fresh();
    const entry = putManifest(path, [await layer("x")], { platform: { os: "linux", architecture: "amd64" } });
    const data = readFileSync(blobPath(path, entry.digest)).toString("base64");
    tagRoot(path, putIndex(path, [{ ...entry, data }]));
    const target = await bench.encrypted(path);
    const [made] = manifest(target).manifests;
    expect(made.data).toBe(readFileSync(blobPath(target, made.digest)).toString("base64"));
  });

  test("turns Docker's types into OCI's", async () => {
    const { bytes, diffId } = await layer("docker");
    const path = bench.fresh();
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
    const target = await bench.encrypted(path, { selection: { ...EVERYTHING, layers: [0] } });
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
    const source = bench.image([await layer("plain", "none"), await layer("packed"), zstd]);
    const types = (path: string) =>
      manifest(path).layers.map((it: { mediaType: string }) => it.mediaType.split("v1.").at(-1));
    const [gzip, none] = [
      await bench.encrypted(source, { compression: { kind: "gzip", level: 6 } }),
      await bench.encrypted(source, { compression: { kind: "none", level: 6 } }),
    ];
    expect(types(gzip)).toEqual(["tar+gzip+encrypted", "tar+gzip+encrypted", "tar+zstd+encrypted"]);
    expect(types(none)).toEqual(["tar+encrypted", "tar+encrypted", "tar+zstd+encrypted"]);

    const again = await bench.encrypted(source, { compression: { kind: "gzip", level: 6 } });
    const [first, second] = [await bench.decrypted(gzip), await bench.decrypted(again)];
    expect(rootOf(first).digest).toBe(rootOf(second).digest);
    for (const path of [first, await bench.decrypted(none)]) {
      const ids = manifest(path).layers.map(({ digest }: { digest: string }) =>
        diffId(readFileSync(blobPath(path, digest))),
      );
      expect(ids).toEqual(readDocument(path, manifest(path).config).rootfs.diff_ids);
    }
  });

  test("fails for a chosen layer that is none, and leaves others alone", async () => {
    const source = bench.image([
      await layer("x"),
      { ...(await layer("y")), extra: { mediaType: "application/vnd.example.model" } },
    ]);
    await expect(bench.encrypted(source)).rejects.toMatchObject({ code: "BAD_MEDIA_TYPE" });
    const made = manifest(await bench.encrypted(source, { selection: { ...EVERYTHING, layers: [0] } }));
    expect(made.layers[1].mediaType).toBe("application/vnd.example.model");
  });

  test("drops annotations that describe plaintext, and stale ones of encryption", async () => {
    const stale = {
      "org.opencontainers.image.enc.pubopts": "e30=",
      "org.opencontainers.image.enc.keys.pgp": "c3RhbGU=",
    };
    const lazy = {
      "io.github.containers.zstd-chunked.manifest-checksum": `sha256:${"0".repeat(64)}`,
      "containerd.io/snapshot/stargz/toc.digest": `sha256:${"0".repeat(64)}`,
      "io.containers.estargz.uncompressed-size": "9",
      "com.amazon.soci.index-digest": `sha256:${"0".repeat(64)}`,
    };
    const extra = { annotations: { ...stale, ...lazy, "org.example.kept": "yes" } };
    const source = bench.image([await layer("x", "gzip", extra)]);
    const encrypted = await bench.encrypted(source);
    const { annotations } = manifest(encrypted).layers[0];
    expect(Object.keys(annotations).sort()).toEqual([
      "org.example.kept",
      "org.opencontainers.image.enc.keys.jwe",
      "org.opencontainers.image.enc.pubopts",
    ]);
    const decrypted = await bench.decrypted(encrypted);
    expect(manifest(decrypted).layers[0].annotations).toEqual({ "org.example.kept": "yes" });
  });

  test("a decrypted layer keeps no lazy-pull annotation that another tool left with its ciphertext", async () => {
    const encrypted = await bench.encrypted(bench.image([await layer("x")]));
    const document = manifest(encrypted);
    document.layers[0].annotations["containerd.io/snapshot/stargz/toc.digest"] = "sha256:forged";
    const text = Buffer.from(JSON.stringify(document));
    tagRoot(encrypted, writeBlob(encrypted, OCI_MANIFEST, text));
    expect(manifest(await bench.decrypted(encrypted)).layers[0].annotations).toBeUndefined();
  });

  test("encrypts one digest under two media types as two layers", async () => {
    const bytes = await layer("x", "none");
    const docker = { ...bytes, extra: { mediaType: "application/vnd.docker.image.rootfs.diff.tar" } };
    const foreign = {
      ...bytes,
      extra: { mediaType: "application/vnd.oci.image.layer.nondistributable.v1.tar" },
    };
    const encrypted = await bench.encrypted(bench.image([docker, foreign]));
    const [first, second] = manifest(encrypted).layers;
    expect([first.mediaType, second.mediaType]).toEqual([
      "application/vnd.oci.image.layer.v1.tar+encrypted",
      "application/vnd.oci.image.layer.nondistributable.v1.tar+encrypted",
    ]);
    expect(first.digest).not.toBe(second.digest);
    expect(manifest(await bench.decrypted(encrypted)).layers[1].mediaType).toBe(foreign.extra.mediaType);
  });

  test("fails where nothing is left to encrypt", async () => {
    const source = bench.image([await layer("x")]);
    await expect(
      bench.encrypted(source, { selection: { ...EVERYTHING, exceptBase: 1 } }),
    ).rejects.toMatchObject({
      code: "NOT_FOUND",
    });
  });

  test("fails before anything is read for a recipient that is none", async () => {
    const recipients = [bench.a.recipient, `jwe:${bench.b.file}.none`];
    await expect(encrypt("oci:nowhere", "oci:nowhere", { recipients })).rejects.toMatchObject({
      code: "BAD_RECIPIENT",
    });
  });

  test("stops when told to as the last layer is done, and leaves nothing", async () => {
    const [source, target, controller] = [
      bench.image([await layer("x")]),
      bench.fresh(),
      new AbortController(),
    ];
    const progress = { ...SILENT, finish: () => controller.abort() };
    const options = { recipients: [bench.a.recipient], running: { progress, signal: controller.signal } };
    await expect(encrypt(`oci:${source}`, `oci:${target}`, options)).rejects.toMatchObject({
      code: "INTERRUPTED",
    });
    expect(existsSync(target)).toBe(false);
  });

  test.each([
    ["aborts the other requests when a layer is bad", true],
    ["aborts no request when all is well", false],
  ])("%s", async (_name, isBad) => {
    const { bytes, ...described } = await layer("x");
    const path = bench.image([{ ...described, bytes }]);
    const [{ digest }] = manifest(path).layers;
    if (isBad) writeFileSync(blobPath(path, digest), bytes.toReversed());
    const source = parseSource(`oci:${path}`);
    const seen: (boolean | undefined)[] = [];
    const watched: SourceReference = {
      ...source,
      open: async (options) => {
        const image = await source.open(options);
        onTestFinished(() => image.close());
        const close = async () => void seen.push(options?.signal?.aborted);
        return new Proxy(image, {
          get: (target, name) => {
            const value: unknown = name === "close" ? close : Reflect.get(target, name, target);
            return typeof value === "function" ? value.bind(target) : value;
          },
        });
      },
    };
    const done = encrypt(`oci:${path}`, `oci:${bench.fresh()}`, {
      source: watched,
      recipients: [bench.a.recipient],
    });
    if (isBad) await expect(done).rejects.toMatchObject({ code: "DIGEST_MISMATCH" });
    else await done;
    expect(seen).toEqual([isBad]);
  });

  test("stops when told to, and leaves nothing", async () => {
    const [source, target] = [bench.image([await layer("x")]), bench.fresh()];
    const signal = AbortSignal.abort();
    const running = { progress: SILENT, signal };
    const stopped = encrypt(`oci:${source}`, `oci:${target}`, { recipients: [bench.a.recipient], running });
    await expect(stopped).rejects.toMatchObject({ code: "INTERRUPTED" });
    expect(existsSync(target)).toBe(false);
  });
});

describe("decrypt", () => {
  test("fails where nothing is encrypted", async () => {
    await expect(bench.decrypted(bench.image([await layer("x")]))).rejects.toMatchObject({
      code: "NOT_FOUND",
    });
  });

  test("gives a layer with Docker's encrypted type OCI's plain type", async () => {
    const source = await bench.encrypted(bench.image([await layer("x")]));
    const document = manifest(source);
    const mediaType = "application/vnd.docker.image.rootfs.diff.tar.gzip+encrypted";
    const layers = [{ ...document.layers[0], mediaType }];
    const text = Buffer.from(JSON.stringify({ ...document, layers }));
    tagRoot(source, writeBlob(source, OCI_MANIFEST, text));
    const [target, plainType] = [bench.fresh(), "application/vnd.oci.image.layer.v1.tar+gzip"];
    const { layers: reports } = await decrypt(`oci:${source}`, `oci:${target}:v1`, bench.a);
    expect(reports).toMatchObject([{ mediaType: plainType }]);
    expect(manifest(target).layers[0].mediaType).toBe(plainType);
  });

  test("leaves nothing of a layer that is not authentic", async () => {
    const source = await bench.encrypted(bench.image([await layer("x")]));
    forge(source);
    const target = bench.fresh();
    await expect(decrypt(`oci:${source}`, `oci:${target}`, bench.a)).rejects.toMatchObject({
      code: "AUTHENTICATION",
    });
    expect(existsSync(target)).toBe(false);
  });
});
