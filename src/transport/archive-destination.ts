import { stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { writeJson } from "../encoding/json-document.ts";
import { DecoderError } from "../errors.ts";
import { PipeOutput, stoppable } from "../io/pipe.ts";
import { exists, moveDurably, Staging, writeDurably } from "../io/staging.ts";
import type { Descriptor } from "../spec/descriptor.ts";
import type { IndexEntry } from "../spec/manifest.ts";
import { readBlob, wholeFile } from "./blob.ts";
import type { BlobOutput } from "./blob-output.ts";
import type { ImageDestination, Transfer } from "./destination.ts";
import type { FileReference } from "./file-reference.ts";
import { INDEX_FILE, LAYOUT_FILE, LAYOUT_VERSION, NEW_INDEX, tagged } from "./layout-index.ts";
import { counted, NO_PROGRESS } from "./progress.ts";
import { StagedBlobs } from "./staged-blobs.ts";
import { type NewTarEntry, packTar } from "./tar.ts";
import type { DestinationOptions } from "./transport.ts";

const STDOUT = 1;
const FOLDER_MODE = 0o755;
const FILE_MODE = 0o644;

/** A tar archive of a layout, as a file or to standard output. */
export class ArchiveDestination implements ImageDestination {
  readonly #reference: FileReference;
  readonly #options: DestinationOptions;
  readonly #staged: StagedBlobs;

  private constructor(place: FileReference, options: DestinationOptions, staging: Staging) {
    this.#reference = place;
    this.#options = options;
    this.#staged = new StagedBlobs(staging);
  }

  static async open(place: FileReference, options: DestinationOptions): Promise<ArchiveDestination> {
    if (place.path === "-") return new ArchiveDestination(place, options, await Staging.create());
    await checkFree(place.path, options);
    return new ArchiveDestination(place, options, await Staging.create(dirname(place.path)));
  }

  async take({ digest, size }: Descriptor): Promise<Transfer | undefined> {
    return (await this.#staged.has(digest, size)) ? "present" : undefined;
  }

  async newOutput(): Promise<BlobOutput> {
    return this.#staged.newOutput();
  }

  async adopt(output: BlobOutput, digest: string): Promise<void> {
    await this.#staged.adopt(output, digest);
  }

  async putManifest(_descriptor: Descriptor, bytes: Uint8Array): Promise<void> {
    await this.#staged.put(bytes);
  }

  async commit(root: IndexEntry, bytes: Uint8Array): Promise<void> {
    await this.#staged.put(bytes);
    const { progress = NO_PROGRESS, signal } = this.#options;
    const entries = this.#entries(tagged(root, this.#reference.tag));
    progress.begin({ kind: "writing", bytes: await this.#staged.bytes() });
    const chunks = counted(stoppable(packTar(entries), signal), progress);
    const { path } = this.#reference;
    if (path === "-") {
      const output = new PipeOutput(STDOUT, "standard output");
      for await (const chunk of chunks) await output.write(chunk);
      return;
    }
    const file = this.#staged.staging.newFile();
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
        body: readBlob(wholeFile(path, size)),
      };
    }
  }
}

function file(name: string, bytes: Uint8Array): NewTarEntry {
  return {
    header: { name, type: "file", size: bytes.length, mode: FILE_MODE, mtime: 0 },
    body: [bytes],
  };
}

async function checkFree(path: string, { replace }: DestinationOptions): Promise<void> {
  if (replace || !(await exists(path))) return;
  throw new DecoderError("EXISTS", `${path} already exists`, {
    hint: "choose another name, or replace it with --force",
  });
}
