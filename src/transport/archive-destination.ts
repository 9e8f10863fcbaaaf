import { stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { writeJson } from "../encoding/json-document.ts";
import { DecoderError } from "../errors.ts";
import { PipeOutput, stoppable } from "../io/pipe.ts";
import { entryAt, moveDurably, Staging, writeDurably } from "../io/staging.ts";
import type { Descriptor } from "../spec/descriptor.ts";
import type { IndexEntry } from "../spec/manifest.ts";
import { readBlob, readWhole, wholeFile } from "./blob.ts";
import type { BlobOutput } from "./blob-output.ts";
import type { ImageDestination, Transfer } from "./destination.ts";
import { DOCKER_MANIFEST_FILE, dockerManifest, named } from "./docker-manifest.ts";
import type { FileReference } from "./file-reference.ts";
import { blobName, INDEX_FILE, LAYOUT_FILE, LAYOUT_VERSION, NEW_INDEX } from "./layout-index.ts";
import { counted, NO_PROGRESS } from "./progress.ts";
import { StagedBlobs } from "./staged-blobs.ts";
import { type NewTarEntry, packTar } from "./tar.ts";
import type { DestinationOptions } from "./transport.ts";

const STDOUT = 1;
const FOLDER_MODE = 0o755;
const FILE_MODE = 0o644;

/** What reads the archive. Both forms are layouts; a Docker archive must have a manifest.json as well. */
export type ArchiveForm = "oci" | "docker";

/** A tar archive of a layout, as a file or to standard output. It has a manifest.json if Docker could run the image. */
export class ArchiveDestination implements ImageDestination {
  readonly #reference: FileReference;
  readonly #form: ArchiveForm;
  readonly #options: DestinationOptions;
  readonly #staged: StagedBlobs;

  private constructor(
    reference: FileReference,
    form: ArchiveForm,
    options: DestinationOptions,
    staging: Staging,
  ) {
    this.#reference = reference;
    this.#form = form;
    this.#options = options;
    this.#staged = new StagedBlobs(staging);
  }

  static async open(
    reference: FileReference,
    form: ArchiveForm,
    options: DestinationOptions,
  ): Promise<ArchiveDestination> {
    const { path } = reference;
    if (path !== "-") await checkFree(reference, form, options);
    const staging = path === "-" ? await Staging.create() : await Staging.create(dirname(path));
    return new ArchiveDestination(reference, form, options, staging);
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
    const { path, tag } = this.#reference;
    const entry = tag === undefined ? root : named(root, tag);
    const saved = await dockerManifest(entry, async (manifest) => await readStaged(this.#staged, manifest));
    if (saved === undefined && this.#form === "docker") throw notForDocker(this.#reference.text);
    progress.begin({ kind: "writing", bytes: await this.#staged.bytes() });
    const chunks = counted(stoppable(packTar(this.#entries(entry, saved)), signal), progress);
    if (path === "-") {
      const output = new PipeOutput(STDOUT, "standard output");
      for await (const chunk of chunks) await output.write(chunk);
      return;
    }
    const file = this.#staged.staging.newFile();
    await writeDurably(file, chunks);
    await checkFree(this.#reference, this.#form, this.#options);
    await moveDurably(file, path);
  }

  async close(): Promise<void> {
    await this.#staged.staging.remove();
  }

  /** The same image gives the same archive: it has no times and owners, and one order. */
  async *#entries(root: IndexEntry, saved: Uint8Array | undefined): AsyncGenerator<NewTarEntry> {
    yield file(LAYOUT_FILE, writeJson({ imageLayoutVersion: LAYOUT_VERSION }));
    yield file(INDEX_FILE, writeJson({ ...NEW_INDEX.value, manifests: [root] }));
    if (saved !== undefined) yield file(DOCKER_MANIFEST_FILE, saved);
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

async function readStaged(staged: StagedBlobs, { digest, size }: Descriptor): Promise<Uint8Array> {
  return await readWhole(readBlob(wholeFile(join(staged.staging.path, blobName(digest)), size)));
}

function notForDocker(text: string): DecoderError {
  return new DecoderError(
    "BAD_IMAGE",
    `${text} can't hold the image: Docker runs only plain layers of files`,
    {
      hint: "decrypt all of its layers, or write it as oci-archive:FILE",
    },
  );
}

function file(name: string, bytes: Uint8Array): NewTarEntry {
  return {
    header: { name, type: "file", size: bytes.length, mode: FILE_MODE, mtime: 0 },
    body: [bytes],
  };
}

/** Refuses devices, pipes and links, even with --force. A file in place of /dev/null would collect what programs write. */
async function checkFree(
  { path }: FileReference,
  form: ArchiveForm,
  { replace }: DestinationOptions,
): Promise<void> {
  const entry = await entryAt(path);
  if (entry === undefined || (entry.isFile() && replace)) return;
  if (!entry.isFile())
    throw new DecoderError("EXISTS", `${path} already exists and is not a regular file`, {
      hint: `choose another name; ${form}-archive:- writes to standard output`,
    });
  throw new DecoderError("EXISTS", `${path} already exists`, {
    hint: "choose another name, or replace it with --force",
  });
}
