import { posix } from "node:path";
import { DecoderError } from "../errors.ts";
import { stoppable } from "../io/pipe.ts";
import * as LIMITS from "../system-limits.ts";
import { type FileRange, readBlob, readWhole } from "./blob.ts";
import { type TarEntry, tarEntries } from "./tar.ts";

/** A tar archive of an image. Only the positions of its entries are kept; nothing is unpacked. */
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
   * Reads an uncompressed archive once, from its first byte to its last.
   * @param name the archive in messages
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
          `${name} has more than ${LIMITS.archiveEntries} entries, the most that an image archive may have`,
        );
      }
      if (entry.type === "directory") continue;
      const path = innerPath(entry.name, name);
      if (entries.has(path)) throw new DecoderError("BAD_IMAGE", `${name} holds ${path} twice`);
      entries.set(path, entry);
    }
    return new Archive(file.path, name, entries);
  }

  /** A regular file of the archive, or undefined. @throws DecoderError BAD_IMAGE for a link, a device and the like */
  find(path: string): FileRange | undefined {
    const entry = this.#entries.get(path);
    if (entry === undefined) return undefined;
    if (entry.type !== "file" && entry.type !== "contiguous-file") {
      throw new DecoderError(
        "BAD_IMAGE",
        `${path} in ${this.name} is not a regular file but a ${entry.type}`,
      );
    }
    return { kind: "file", path: this.#path, offset: entry.offset, size: entry.size };
  }

  /** Like `find`, but follows one link within the archive: older Docker versions link equal layers. */
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
        `${path} in ${this.name} has ${range.size} bytes; a file of its kind may have at most ${most}`,
      );
    }
    return await readWhole(readBlob(range));
  }
}

/** An entry's name in the form used as a key. @throws DecoderError BAD_IMAGE when it leads out of the archive */
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
