import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import type { JsonStyle } from "../encoding/json-document.ts";
import { DecoderError, describeSystemError, errnoOf } from "../errors.ts";
import { LIMITS } from "../limits.ts";
import { checkedDigest } from "../spec/digest.ts";
import type { Index } from "../spec/manifest.ts";
import type { BlobStore } from "./blob.ts";
import { type Document, parseIndex, parseObject } from "./documents.ts";

/** OCI image-layout v1.0.0: names in a layout's folder or archive. */
export const LAYOUT_FILE = "oci-layout";
export const INDEX_FILE = "index.json";
export const LAYOUT_VERSION = "1.0.0";

export const NEW_INDEX: Document<Index> = {
  value: { schemaVersion: 2, manifests: [] },
  style: { indent: "", tail: "", escapesHtml: false } satisfies JsonStyle,
};

/** "blobs/sha256/<hex>". @throws DecoderError BAD_DESCRIPTOR for a digest that can't be a file name */
export function blobName(digest: string): string {
  const { algorithm, hex } = checkedDigest(digest);
  return `blobs/${algorithm}/${hex}`;
}

/** @throws DecoderError BAD_IMAGE when the marker file speaks of another layout version */
export function checkLayoutVersion(bytes: Uint8Array, name: string): void {
  const version = parseObject(bytes, name).value["imageLayoutVersion"];
  if (typeof version === "string" && version.startsWith("1.")) return;
  throw new DecoderError(
    "BAD_IMAGE",
    `${name} says image layout version ${JSON.stringify(version)}, and ${LAYOUT_VERSION} is known`,
  );
}

/** A folder's index.json. @throws DecoderError NOT_FOUND when it is no layout, BAD_IMAGE */
export async function readLayoutIndex(folder: string): Promise<Document<Index>> {
  const marker = join(folder, LAYOUT_FILE);
  const index = join(folder, INDEX_FILE);
  checkLayoutVersion(await readLayoutFile(marker), marker);
  return parseIndex(await readLayoutFile(index), index);
}

export function folderBlobs(folder: string): BlobStore {
  return {
    async locate(digest) {
      const path = join(folder, blobName(digest));
      // Links are followed: what they lead to must have the digest anyway.
      const found = await stat(path).catch((error) => {
        throw errnoOf(error) === "ENOENT" ? missingBlob(digest, folder) : unreadable(path, error);
      });
      if (!found.isFile())
        throw new DecoderError("BAD_IMAGE", `blob ${digest} in ${folder} is no regular file`);
      return { path, offset: 0, size: found.size };
    },
  };
}

export function missingBlob(digest: string, where: string): DecoderError {
  return new DecoderError("NOT_FOUND", `blob ${digest} is missing from ${where}`, {
    hint: "the image was copied only in part: fetch it again, all of it",
  });
}

async function readLayoutFile(path: string): Promise<Uint8Array> {
  try {
    const found = await stat(path);
    if (!found.isFile()) throw new DecoderError("BAD_IMAGE", `${path} is no regular file`);
    if (found.size > LIMITS.manifestBytes) {
      throw new DecoderError(
        "LIMIT",
        `${path} has ${found.size} bytes, and ${LIMITS.manifestBytes} are the most for one of its kind`,
      );
    }
    return await readFile(path);
  } catch (error) {
    if (error instanceof DecoderError) throw error;
    const hint = "an OCI layout is a directory with the files oci-layout and index.json";
    if (errnoOf(error) === "ENOENT" || errnoOf(error) === "ENOTDIR") {
      throw new DecoderError("NOT_FOUND", `there is no image layout: ${path} does not exist`, {
        hint,
        cause: error,
      });
    }
    throw unreadable(path, error);
  }
}

function unreadable(path: string, error: unknown): DecoderError {
  return new DecoderError("IO", `can't read ${path}: ${describeSystemError(error)}`, { cause: error });
}
