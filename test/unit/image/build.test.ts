import { createHash } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { buildImage } from "../../../src/image/build.ts";
import { type Progress, SILENT } from "../../../src/image/progress.ts";
import { parseMaterial } from "../../../src/transport/reference.ts";
import type { FilesReference } from "../../../src/transport/transport.ts";
import { encrypt, layer, Workbench } from "./setup.ts";

const bench = new Workbench();
const BUILD = { entrypoint: [], platform: { os: "linux", architecture: "amd64" } };

/** Files of some 9 MiB, so that their archive has three blocks. */
function files(): string {
  const folder = bench.fresh();
  mkdirSync(folder);
  for (let i = 0; i < 9; i++) {
    const seed = createHash("sha256").update(String(i)).digest();
    writeFileSync(
      join(folder, `file-${i}`),
      Buffer.alloc(1024 * 1024, Buffer.concat([seed, Buffer.alloc(200)])),
    );
  }
  return folder;
}

/** What a progress receives, in order: the kinds of phases, and the finished layers as "platform position". */
function recorder(): { readonly progress: Progress; readonly events: string[] } {
  const events: string[] = [];
  const progress = {
    ...SILENT,
    begin: ({ kind }: { kind: string }) => void events.push(kind),
    finish: ({ platform, position }: { platform: string; position: number }) =>
      void events.push(`${platform} ${position}`),
  };
  return { progress, events };
}

test("the same files give the same image on any number of threads", async () => {
  const reference = parseMaterial(`rootfs:${files()}`) as FilesReference;
  const digests = new Set<string>();
  for (const threads of [1, 2, 5]) {
    const running = { progress: SILENT, threads };
    const image = await buildImage(reference, BUILD, { kind: "gzip", level: 6 }, running);
    digests.add(image.root.digest);
    await image.close();
  }
  expect(digests.size).toBe(1);
});

test("a destination that can't be written is found out before files are packed", async () => {
  const taken = bench.image([await layer("x")]);
  const { progress, events } = recorder();
  const options = { recipients: [bench.a.recipient], running: { progress } };
  await expect(encrypt(`rootfs:${files()}`, `oci:${taken}:v1`, options)).rejects.toMatchObject({
    code: "EXISTS",
  });
  expect(events).toEqual([]);
});

test("phases and layers are reported in order, the small layer after the large one before it", async () => {
  const large = { ...(await layer("x", "none")), bytes: Buffer.alloc(8 * 1024 * 1024) };
  const source = bench.image([large, await layer("y"), await layer("z")]);
  const { progress, events } = recorder();
  const running = { progress, threads: 3 };
  const archive = `oci-archive:${bench.fresh()}:v1`;
  await encrypt(`oci:${source}`, archive, { recipients: [bench.a.recipient], running });
  const layers = [0, 1, 2].map((position) => `linux/amd64 ${position}`);
  expect(events).toEqual(["layers", ...layers, "writing"]);
});

test("an image of files is packed, and then its layer encrypted", async () => {
  const { progress, events } = recorder();
  const options = { recipients: [bench.a.recipient], running: { progress, threads: 2 } };
  await encrypt(`rootfs:${files()}`, `oci:${bench.fresh()}:v1`, options);
  expect(events).toEqual(["packing", "layers", "linux/amd64 0"]);
});

test("an encrypted image is not written where only Docker reads", async () => {
  const source = bench.image([await layer("x")]);
  const options = { recipients: [bench.a.recipient] };
  await expect(
    encrypt(`oci:${source}`, `docker-archive:${bench.fresh()}:app:1`, options),
  ).rejects.toMatchObject({ code: "USAGE" });
});
