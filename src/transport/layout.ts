import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { DecoderError, describeSystemError, errnoOf } from "../errors.ts";
import * as LIMITS from "../limits.ts";
import type { Index } from "../spec/manifest.ts";
import { type BlobStore, missingBlob, wholeFile } from "./blob.ts";
import type { Document } from "./documents.ts";
import type { FileReference } from "./file-reference.ts";
import { blobName, findImage, INDEX_FILE, LAYOUT_FILE, parseLayoutIndex } from "./layout-index.ts";
import { type ImageSource, StoredImage } from "./source.ts";

/** Opens an image in a layout's folder. @throws as SourceReference.open does */
export async function openLayout(reference: FileReference): Promise<ImageSource> {
  const { path } = reference;
  const index = await readLayoutIndex(path);
  const blobs = folderBlobs(path);
  return new StoredImage(await findImage(index.value, reference, blobs, path), blobs);
}

/** Reads a layout folder's index. @throws DecoderError NOT_FOUND when the folder is not a layout, BAD_IMAGE, LIMIT, IO */
export async function readLayoutIndex(folder: string): Promise<Document<Index>> {
  const marker = await readLayoutFile(folder, LAYOUT_FILE);
  const index = await readLayoutFile(folder, INDEX_FILE);
  return parseLayoutIndex(marker, index, folder);
}

/** The blobs below a layout's folder, or below containerd's content store, which has the same form. */
export function folderBlobs(folder: string): BlobStore {
  return {
    async locate({ digest }) {
      const path = join(folder, blobName(digest));
      // Links are followed: the file that they lead to must have the digest anyway.
      const found = await stat(path).catch((error) => {
        throw errnoOf(error) === "ENOENT" ? missingBlob(digest, folder) : unreadable(path, error);
      });
      if (!found.isFile()) {
        throw new DecoderError("BAD_IMAGE", `blob ${digest} in ${folder} is not a regular file`);
      }
      return wholeFile(path, found.size);
    },
  };
}

async function readLayoutFile(folder: string, name: string): Promise<Uint8Array> {
  const path = join(folder, name);
  try {
    const found = await stat(path);
    if (!found.isFile()) throw new DecoderError("BAD_IMAGE", `${path} is not a regular file`);
    if (found.size > LIMITS.manifestBytes) {
      throw new DecoderError(
        "LIMIT",
        `${path} has ${found.size} bytes; a file of its kind may have at most ${LIMITS.manifestBytes}`,
      );
    }
    return await readFile(path);
  } catch (error) {
    if (error instanceof DecoderError) throw error;
    if (errnoOf(error) !== "ENOENT" && errnoOf(error) !== "ENOTDIR") throw unreadable(path, error);
    throw await noLayout(folder, name, error);
  }
}

/** @param name the file that was not found. @param cause the system's error */
async function noLayout(folder: string, name: string, cause: unknown): Promise<DecoderError> {
  const found = await stat(folder).catch(() => undefined);
  if (found !== undefined && !found.isDirectory()) {
    return new DecoderError("NOT_FOUND", `${folder} is a file, not an image layout`, {
      hint: `an archive is read as oci-archive:${folder} or docker-archive:${folder}`,
    });
  }
  const hint = "an OCI layout is a directory with the files oci-layout and index.json";
  return found === undefined
    ? new DecoderError("NOT_FOUND", `the image layout ${folder} does not exist`, {
        hint,
        cause,
      })
    : new DecoderError("NOT_FOUND", `${folder} is not an image layout: it has no ${name}`, { hint });
}

function unreadable(path: string, error: unknown): DecoderError {
  return new DecoderError("IO", `can't read ${path}: ${describeSystemError(error)}`, { cause: error });
}
