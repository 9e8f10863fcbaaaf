import { existsSync, readdirSync } from "node:fs";
import { setTimeout } from "node:timers/promises";
import { expect, test } from "vitest";
import { LayerPool } from "../../../src/image/layer-pool.ts";
import { SILENT } from "../../../src/image/progress.ts";
import { Workshop } from "../../../src/image/workshop.ts";
import { digestOf } from "../../../src/io/digester.ts";
import { Staging } from "../../../src/io/staging.ts";
import type { ImageDestination } from "../../../src/transport/destination.ts";
import type { ImageSource } from "../../../src/transport/source.ts";
import { StagedBlobs } from "../../../src/transport/staged-blobs.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const folder = temporaryFolder();
const bytes = new Uint8Array(Buffer.from("a layer"));
const descriptor = { mediaType: "", digest: digestOf(bytes), size: bytes.length };

test("closed after a failure, it writes nothing more into the destination, which is removed next", async () => {
  const staged = new StagedBlobs(await Staging.create(folder));
  const adopting = Promise.withResolvers<void>();
  const destination = {
    take: async () => undefined,
    newOutput: async () => staged.newOutput(),
    adopt: async (...[output, digest]: Parameters<ImageDestination["adopt"]>) => {
      adopting.resolve();
      await setTimeout(10);
      await staged.adopt(output, digest);
    },
  } as unknown as ImageDestination;
  const source = { locate: async () => ({ kind: "memory", bytes }) } as unknown as ImageSource;
  const pool = new LayerPool(1);
  const workshop = new Workshop({ source, destination, pool, progress: SILENT, names: new Map() });
  const copied = workshop.copy(descriptor);
  await adopting.promise;
  await workshop.close();
  await staged.staging.remove();
  await copied;
  expect(existsSync(staged.staging.path)).toBe(false);
  expect(readdirSync(folder)).toEqual([]);
});
