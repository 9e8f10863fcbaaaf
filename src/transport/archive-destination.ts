import { stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { writeJson } from "../encoding/json-document.ts";
import { DecoderError } from "../errors.ts";
import { PipeOutput, stoppable } from "../io/pipe.ts";
import { exists, moveDurably, Staging, writeDurably } from "../io/staging.ts";
import type { IndexEntry } from "../spec/manifest.ts";
import { readBlob } from "./blob.ts";
import type { ImageTarget, TargetOptions } from "./destination.ts";
import { INDEX_FILE, LAYOUT_FILE, LAYOUT_VERSION, NEW_INDEX } from "./layout.ts";
import { named } from "./layout-destination.ts";
import type { Place } from "./reference.ts";
import { StagedBlobs } from "./staged-blobs.ts";
import { type NewTarEntry, packTar } from "./tar.ts";

const STDOUT = 1;
const FOLDER_MODE = 0o755;
const FILE_MODE = 0o644;

/** A tar archive of a layout, as a file or to standard output. */
export class ArchiveTarget implements ImageTarget {
  readonly #place: Place;
  readonly #options: TargetOptions;
  readonly #staged: StagedBlobs;

  private constructor(place: Place, options: TargetOptions, staging: Staging) {
    this.#place = place;
    this.#options = options;
    this.#staged = new StagedBlobs(staging);
  }

  static async open(place: Place, options: TargetOptions): Promise<ArchiveTarget> {
    if (place.path === "-") return new ArchiveTarget(place, options, await Staging.create());
    await checkFree(place.path, options);
    return new ArchiveTarget(place, options, await Staging.create(dirname(place.path)));
  }

  async has(digest: string, size: number): Promise<boolean> {
    return await this.#staged.has(digest, size);
  }

  newFile(): string {
    return this.#staged.staging.newFile();
  }

  async adopt(path: string, digest: string): Promise<void> {
    await this.#staged.adopt(path, digest);
  }

  async commit(root: IndexEntry): Promise<void> {
    const chunks = stoppable(packTar(this.#entries(named(root, this.#place.tag))), this.#options.signal);
    const { path } = this.#place;
    if (path === "-") {
      const output = new PipeOutput(STDOUT, "standard output");
      for await (const chunk of chunks) await output.write(chunk);
      return;
    }
    const file = this.newFile();
    await writeDurably(file, chunks);
    await checkFree(path, this.#options);
    await moveDurably(file, path);
  }

  async close(): Promise<void> {
    await this.#staged.staging.remove();
  }

  /** The same image gives the same archive: no times, owners or chance in the order. */
  async *#entries(root: IndexEntry): AsyncGenerator<NewTarEntry> {
    yield file(LAYOUT_FILE, writeJson({ imageLayoutVersion: LAYOUT_VERSION }));
    yield file(INDEX_FILE, writeJson({ ...NEW_INDEX.value, manifests: [root] }));
    const folders = new Set<string>();
    for (const name of await this.#staged.names()) {
      for (const folder of ["blobs", dirname(name)]) {
        if (folders.has(folder)) continue;
        folders.add(folder);
        yield { header: { name: folder, type: "directory", size: 0, mode: FOLDER_MODE, mtime: 0 } };
      }
      const path = join(this.#staged.staging.path, name);
      const { size } = await stat(path);
      yield {
        header: { name, type: "file", size, mode: FILE_MODE, mtime: 0 },
        body: readBlob({ path, offset: 0, size }),
      };
    }
  }
}

function file(name: string, bytes: Uint8Array): NewTarEntry {
  return {
    header: { name, type: "file", size: bytes.length, mode: FILE_MODE, mtime: 0 },
    body: readBlob({ bytes }),
  };
}

async function checkFree(path: string, { replace }: TargetOptions): Promise<void> {
  if (replace || !(await exists(path))) return;
  throw new DecoderError("EXISTS", `${path} is there already`, {
    hint: "choose another name, or replace it with --force",
  });
}
