import { posix } from "node:path";
import { DecoderError } from "../errors.ts";
import { stoppable } from "../io/pipe.ts";
import { LIMITS } from "../limits.ts";
import type { Index } from "../spec/manifest.ts";
import { type BlobStore, type FileRange, readBlob } from "./blob.ts";
import { type Document, parseIndex } from "./documents.ts";
import { blobName, checkLayoutVersion, INDEX_FILE, LAYOUT_FILE, missingBlob } from "./layout.ts";
import { type TarEntry, tarEntries } from "./tar.ts";

/** A tar archive of an image, as the places of its entries in the file: nothing is unpacked. */
export class Archive {
  readonly name: string;
  readonly #path: string;
  readonly #entries: ReadonlyMap<string, TarEntry>;

  private constructor(path: string, name: string, entries: ReadonlyMap<string, TarEntry>) {
    this.#path = path;
    this.name = name;
    this.#entries = entries;
  }

  /**
   * Reads an uncompressed archive through once.
   * @param name as the user wrote it
   * @throws DecoderError BAD_IMAGE, LIMIT, IO, INTERRUPTED
   */
  static async scan(file: FileRange, name: string, signal?: AbortSignal): Promise<Archive> {
    const entries = new Map<string, TarEntry>();
    let count = 0;
    for await (const entry of tarEntries(stoppable(readBlob(file), signal), name)) {
      count += 1;
      if (count > LIMITS.archiveEntries) {
        throw new DecoderError(
          "LIMIT",
          `${name} has more than ${LIMITS.archiveEntries} entries, and no image has so many`,
        );
      }
      if (entry.type === "directory") continue;
      const path = innerPath(entry.name, name);
      if (entries.has(path)) throw new DecoderError("BAD_IMAGE", `${name} holds ${path} twice`);
      entries.set(path, entry);
    }
    return new Archive(file.path, name, entries);
  }

  /** The bytes of a regular file in it, or undefined. @throws DecoderError BAD_IMAGE for a link, a device and the like */
  find(path: string): FileRange | undefined {
    const entry = this.#entries.get(path);
    if (entry === undefined) return undefined;
    if (entry.type !== "file" && entry.type !== "contiguous-file") {
      throw new DecoderError("BAD_IMAGE", `${path} in ${this.name} is no regular file but a ${entry.type}`);
    }
    return { path: this.#path, offset: entry.offset, size: entry.size };
  }

  /** Like `find`, but goes where a link leads, inside the archive, once: older Docker links layers that are the same. */
  findLinked(path: string): FileRange | undefined {
    const entry = this.#entries.get(path);
    if (entry?.type === "link") return this.find(innerPath(entry.linkname, this.name));
    if (entry?.type !== "symlink") return this.find(path);
    return this.find(innerPath(posix.join(posix.dirname(path), entry.linkname), this.name));
  }

  /** A small file whole, or undefined. @throws DecoderError LIMIT, BAD_IMAGE, IO */
  async read(path: string, most: number): Promise<Uint8Array | undefined> {
    const range = this.find(path);
    if (range === undefined) return undefined;
    if (range.size > most) {
      throw new DecoderError(
        "LIMIT",
        `${path} in ${this.name} has ${range.size} bytes, and ${most} are the most for one of its kind`,
      );
    }
    const chunks: Uint8Array[] = [];
    for await (const chunk of readBlob(range)) chunks.push(chunk);
    return Buffer.concat(chunks);
  }
}

/** @throws DecoderError BAD_IMAGE when it is no archive of an OCI layout */
export async function readArchiveIndex(archive: Archive): Promise<Document<Index>> {
  const marker = await archive.read(LAYOUT_FILE, LIMITS.manifestBytes);
  const index = await archive.read(INDEX_FILE, LIMITS.manifestBytes);
  if (marker === undefined || index === undefined) {
    const missing = marker === undefined ? LAYOUT_FILE : INDEX_FILE;
    const docker = archive.find("manifest.json") !== undefined;
    throw new DecoderError("BAD_IMAGE", `${archive.name} is no OCI image archive: it has no ${missing}`, {
      ...(docker && { hint: "it looks like one of docker save: read it as docker-archive:FILE" }),
    });
  }
  checkLayoutVersion(marker, `${LAYOUT_FILE} in ${archive.name}`);
  return parseIndex(index, `${INDEX_FILE} in ${archive.name}`);
}

export function archiveBlobs(archive: Archive): BlobStore {
  return {
    async locate(digest) {
      const range = archive.find(blobName(digest));
      if (range === undefined) throw missingBlob(digest, archive.name);
      return range;
    },
  };
}

/** A name as the entries are looked up by. @throws DecoderError BAD_IMAGE for one that leads out of the archive */
function innerPath(name: string, archive: string): string {
  const path = posix.normalize(name);
  if (posix.isAbsolute(path) || path === ".." || path.startsWith("../") || path.includes("\0")) {
    throw new DecoderError(
      "BAD_IMAGE",
      `${archive} holds an entry whose name leads out of it: ${JSON.stringify(name.slice(0, 160))}`,
    );
  }
  return path;
}
