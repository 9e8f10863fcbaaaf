import { stat } from "node:fs/promises";
import { DecoderError, describeSystemError, errnoOf } from "../errors.ts";
import { readPipe, stoppable } from "../io/pipe.ts";
import { Staging, writeDurably } from "../io/staging.ts";
import type { IndexEntry } from "../spec/manifest.ts";
import { Archive, archiveBlobs, readArchiveIndex } from "./archive.ts";
import { type BlobStore, type FileRange, readBlob } from "./blob.ts";
import { chooseImage } from "./choose.ts";
import { decompress, sniffCompression } from "./compression.ts";
import { openDockerImage } from "./docker-archive.ts";
import { folderBlobs, readLayoutIndex } from "./layout.ts";
import { formatPlace, type Place } from "./reference.ts";

/** An image that can be read. */
export interface ImageSource {
  /** Of its manifest or index, as the layout's index.json has it. */
  readonly root: IndexEntry;
  readonly blobs: BlobStore;
  close(): Promise<void>;
}

const STDIN = 0;

/**
 * @param signal stops it while an archive is read
 * @throws DecoderError NOT_FOUND, BAD_IMAGE, USAGE, LIMIT, IO, INTERRUPTED
 */
export async function openSource(place: Place, signal?: AbortSignal): Promise<ImageSource> {
  if (place.kind === "oci") {
    const index = await readLayoutIndex(place.path);
    const root = chooseImage(index.value, place.tag, place.path);
    return { root, blobs: folderBlobs(place.path), close: async () => undefined };
  }
  if (place.kind !== "oci-archive" && place.kind !== "docker-archive") {
    throw new DecoderError("USAGE", `${formatPlace(place)} is no image`);
  }
  return await openArchive(place, await openFile(place.path, signal), signal);
}

/** A file that can be read at any place, until it is closed. */
export interface OpenFile {
  readonly file: FileRange;
  close(): Promise<void>;
}

/** An image in an archive that is open; it is closed with the image, or when it holds none. */
export async function openArchive(
  place: Place,
  { file, close }: OpenFile,
  signal?: AbortSignal,
): Promise<ImageSource> {
  try {
    const archive = await Archive.scan(file, nameOf(place.path), signal);
    if (place.kind === "docker-archive") return { ...(await openDockerImage(archive, place.tag)), close };
    const index = await readArchiveIndex(archive);
    return { root: chooseImage(index.value, place.tag, archive.name), blobs: archiveBlobs(archive), close };
  } catch (error) {
    await close();
    throw error;
  }
}

/**
 * A file to read at any place, uncompressed: what comes through a pipe or is compressed is put in a temporary file.
 * @param path "-" for standard input
 * @throws DecoderError NOT_FOUND, BAD_IMAGE, IO, INTERRUPTED
 */
export async function openFile(path: string, signal?: AbortSignal): Promise<OpenFile> {
  let file: FileRange;
  let staging: Staging | undefined;
  const close = async () => await staging?.remove();
  const spool = async (chunks: AsyncIterable<Uint8Array>) => {
    staging ??= await Staging.create();
    const copy = staging.newFile();
    return { path: copy, offset: 0, size: await writeDurably(copy, stoppable(chunks, signal), 0o600) };
  };
  try {
    file = path === "-" ? await spool(readPipe(STDIN, "standard input")) : await regularFile(path);
    const compression = await sniffCompression(file);
    if (compression !== "none") file = await spool(decompress(compression, readBlob(file), nameOf(path)));
    return { file, close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function regularFile(path: string): Promise<FileRange> {
  const found = await stat(path).catch((error) => {
    const code = errnoOf(error) === "ENOENT" ? "NOT_FOUND" : "IO";
    throw new DecoderError(code, `can't read ${path}: ${describeSystemError(error)}`, { cause: error });
  });
  if (!found.isFile()) throw new DecoderError("BAD_IMAGE", `${path} is no regular file`);
  return { path, offset: 0, size: found.size };
}

function nameOf(path: string): string {
  return path === "-" ? "the archive on standard input" : path;
}
