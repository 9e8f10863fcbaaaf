/** Images with layers too large for memory. */
import { createHash, type Hash } from "node:crypto";
import { createWriteStream, mkdirSync, renameSync, statSync } from "node:fs";
import { join } from "node:path";
import { Readable, Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { constants, createGzip } from "node:zlib";
import { pack } from "tar-stream";
import type { Descriptor } from "../../src/spec/descriptor.ts";
import { OCI_CONFIG } from "../../src/spec/media-types.ts";
import { blobPath, writeBlob, writeManifest } from "../../test/support/images.ts";
import { layerBytes } from "./inputs.ts";

const TAR = "application/vnd.oci.image.layer.v1.tar";

export interface LayerOfFile {
  /** Size of its one file, in bytes. */
  readonly bytes: number;
  readonly compression: "none" | "gzip";
}

/** Adds an image to the OCI layout in `folder`. Each layer is a tar archive with one file. */
export async function writeImage(folder: string, tag: string, layers: readonly LayerOfFile[]): Promise<void> {
  mkdirSync(join(folder, "blobs/sha256"), { recursive: true });
  const written: { descriptor: Descriptor; diffId: string }[] = [];
  for (const [index, layer] of layers.entries()) written.push(await writeLayer(folder, index, layer));
  const config = {
    architecture: process.arch === "x64" ? "amd64" : process.arch,
    os: "linux",
    config: {},
    rootfs: { type: "layers", diff_ids: written.map(({ diffId }) => diffId) },
  };
  writeManifest(folder, tag, {
    config: writeBlob(folder, OCI_CONFIG, Buffer.from(JSON.stringify(config))),
    layers: written.map(({ descriptor }) => descriptor),
  });
}

async function writeLayer(
  folder: string,
  index: number,
  { bytes, compression }: LayerOfFile,
): Promise<{ descriptor: Descriptor; diffId: string }> {
  const archive = pack();
  const entry = archive.entry({ name: `file-${index}`, size: bytes, mode: 0o644, mtime: new Date(0) });
  const filled = pipeline(Readable.from(layerBytes(bytes, index + 1)), entry).then(() => archive.finalize());

  const unfinished = join(folder, "unfinished");
  const [plain, stored] = [createHash("sha256"), createHash("sha256")];
  const compressors: Transform[] =
    compression === "gzip" ? [createGzip({ level: constants.Z_BEST_SPEED })] : [];
  await pipeline([archive, hashing(plain), ...compressors, hashing(stored), createWriteStream(unfinished)]);
  await filled;

  const digest = `sha256:${stored.digest("hex")}`;
  renameSync(unfinished, blobPath(folder, digest));
  const mediaType = compression === "gzip" ? `${TAR}+gzip` : TAR;
  const { size } = statSync(blobPath(folder, digest));
  return { descriptor: { mediaType, digest, size }, diffId: `sha256:${plain.digest("hex")}` };
}

function hashing(hash: Hash): Transform {
  return new Transform({
    transform: (chunk: Buffer, _encoding, done) => {
      hash.update(chunk);
      done(null, chunk);
    },
  });
}
