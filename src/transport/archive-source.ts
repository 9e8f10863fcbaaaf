import { DecoderError } from "../errors.ts";
import * as LIMITS from "../limits.ts";
import { Archive } from "./archive.ts";
import { type ArchiveFile, openArchiveFile } from "./archive-file.ts";
import { type BlobStore, MemoryBlobs, missingBlob, readHead } from "./blob.ts";
import { readDockerImage } from "./docker-archive.ts";
import { DOCKER_MANIFEST_FILE } from "./docker-manifest.ts";
import { mediaTypeOf } from "./documents.ts";
import type { FileReference } from "./file-reference.ts";
import { blobName, findImage, INDEX_FILE, LAYOUT_FILE, parseLayoutIndex } from "./layout-index.ts";
import { type ImageSource, StoredImage } from "./source.ts";
import type { OpenOptions } from "./transport.ts";

const STDIN_PATH = "-";
const OPENING_BRACE = 0x7b;
const MANIFEST_NAME = "the manifest on standard input";

/** Opens an image in a tar archive of a layout. @throws as SourceReference.open does */
export async function openOciArchive(
  reference: FileReference,
  options: OpenOptions = {},
): Promise<ImageSource> {
  return await opened(reference.path, options, async (file) => {
    const archive = await Archive.scan(file.range, file.name, options.signal);
    return await readOciImage(archive, reference, file.close);
  });
}

/** Opens an image in an archive of `docker save`. @throws as SourceReference.open does */
export async function openDockerArchive(
  { path, tag }: FileReference,
  options: OpenOptions = {},
): Promise<ImageSource> {
  return await opened(path, options, async (file) => {
    const archive = await Archive.scan(file.range, file.name, options.signal);
    return await dockerImage(archive, tag, file.close);
  });
}

async function dockerImage(
  archive: Archive,
  name: string | undefined,
  close: () => Promise<void>,
): Promise<ImageSource> {
  const { root, blobs } = await readDockerImage(archive, name);
  return new StoredImage(root, blobs, { isUncompressed: true, close });
}

/**
 * Opens what comes through standard input: an archive, or a manifest or index without the blobs that it names.
 * @throws as SourceReference.open does
 */
export async function openStandardInput(options: OpenOptions = {}): Promise<ImageSource> {
  return await opened(STDIN_PATH, options, async (file) => {
    const document = await readDocument(file);
    if (document !== undefined) {
      await file.close();
      const blobs = new MemoryBlobs(MANIFEST_NAME);
      return new StoredImage(blobs.add(mediaTypeOf(document, MANIFEST_NAME), document), blobs);
    }
    const archive = await Archive.scan(file.range, file.name, options.signal);
    // Docker 25 and later save a layout as well, which says more.
    const isDocker =
      archive.find(INDEX_FILE) === undefined && archive.find(DOCKER_MANIFEST_FILE) !== undefined;
    return isDocker
      ? await dockerImage(archive, undefined, file.close)
      : await readOciImage(archive, { tag: undefined, digest: undefined }, file.close);
  });
}

/** The file's bytes if they are JSON rather than a tar archive. @throws DecoderError LIMIT, IO */
async function readDocument({ range }: ArchiveFile): Promise<Uint8Array | undefined> {
  const head = await readHead(range, LIMITS.manifestBytes + 1);
  if (head[0] !== OPENING_BRACE) return undefined;
  if (head.length <= LIMITS.manifestBytes) return head;
  throw new DecoderError("LIMIT", `${MANIFEST_NAME} has more than ${LIMITS.manifestBytes} bytes`);
}

/** The file is closed with the image, or at once when it holds none. */
async function opened(
  path: string,
  options: OpenOptions,
  read: (file: ArchiveFile) => Promise<ImageSource>,
): Promise<ImageSource> {
  const file = await openArchiveFile(path, options);
  try {
    return await read(file);
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** @throws DecoderError BAD_IMAGE when it is not an archive of an OCI layout */
async function readOciImage(
  archive: Archive,
  reference: Pick<FileReference, "tag" | "digest">,
  close: () => Promise<void>,
): Promise<ImageSource> {
  const isSavedByDocker = archive.find(DOCKER_MANIFEST_FILE) !== undefined;
  const marker = await archive.read(LAYOUT_FILE, LIMITS.manifestBytes);
  const index = await archive.read(INDEX_FILE, LIMITS.manifestBytes);
  if (marker === undefined || index === undefined) {
    const missing = marker === undefined ? LAYOUT_FILE : INDEX_FILE;
    throw new DecoderError("BAD_IMAGE", `${archive.name} is not an OCI image archive: it has no ${missing}`, {
      ...(isSavedByDocker && { hint: "it looks like one of docker save: read it as docker-archive:FILE" }),
    });
  }
  const { value } = parseLayoutIndex(marker, index, archive.name);
  const blobs = archiveBlobs(archive);
  const root = await findImage(value, reference, blobs, archive.name);
  return new StoredImage(root, blobs, { isUncompressed: isSavedByDocker, close });
}

function archiveBlobs(archive: Archive): BlobStore {
  return {
    async locate({ digest }) {
      const range = archive.find(blobName(digest));
      if (range === undefined) throw missingBlob(digest, archive.name);
      return range;
    },
  };
}
