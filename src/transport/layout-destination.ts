import { chmod, readdir, readFile, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { writeJson } from "../encoding/json-document.ts";
import { DecoderError, describeSystemError } from "../errors.ts";
import {
  exists,
  folderMode,
  makeFolder,
  moveDurably,
  Staging,
  syncFolder,
  writeDurably,
} from "../io/staging.ts";
import type { Descriptor } from "../spec/descriptor.ts";
import type { Index, IndexEntry } from "../spec/manifest.ts";
import type { BlobOutput } from "./blob-output.ts";
import type { ImageDestination, Transfer } from "./destination.ts";
import type { Document } from "./documents.ts";
import type { FileReference } from "./file-reference.ts";
import { readLayoutIndex } from "./layout.ts";
import { INDEX_FILE, isTagged, LAYOUT_FILE, LAYOUT_VERSION, NEW_INDEX, tagged } from "./layout-index.ts";
import { hasBlob, StagedBlobs } from "./staged-blobs.ts";
import type { DestinationOptions } from "./transport.ts";

/** In the staging folder while blobs are put in place: their names, one a line, for the run after a sudden end. */
const JOURNAL_FILE = "journal";
const BLOB_NAME = /^blobs\/[a-z0-9]+\/[0-9a-f]+$/;

/** An image layout's folder, new or with other images in it. */
export class LayoutDestination implements ImageDestination {
  readonly #reference: FileReference;
  readonly #options: DestinationOptions;
  readonly #isNew: boolean;
  readonly #staged: StagedBlobs;

  private constructor(place: FileReference, options: DestinationOptions, isNew: boolean, staging: Staging) {
    this.#reference = place;
    this.#options = options;
    this.#isNew = isNew;
    this.#staged = new StagedBlobs(staging);
  }

  static async open(place: FileReference, options: DestinationOptions): Promise<LayoutDestination> {
    const isNew = !(await exists(place.path));
    if (!isNew) withoutTag(await readExistingIndex(place.path), place, options);
    // Inside the layout, since that may be a file system of its own; a new one appears as a whole.
    const staging = await Staging.create(isNew ? dirname(place.path) : place.path, (leftover) =>
      undoCommit(leftover, place.path),
    );
    return new LayoutDestination(place, options, isNew, staging);
  }

  async take({ digest, size }: Descriptor): Promise<Transfer | undefined> {
    if (await this.#staged.has(digest, size)) return "present";
    return !this.#isNew && (await hasBlob(this.#reference.path, digest, size)) ? "present" : undefined;
  }

  async newOutput(): Promise<BlobOutput> {
    return this.#staged.newOutput();
  }

  async adopt(output: BlobOutput, digest: string): Promise<void> {
    await this.#staged.adopt(output, digest);
  }

  async putManifest(descriptor: Descriptor, bytes: Uint8Array): Promise<void> {
    if ((await this.take(descriptor)) === undefined) await this.#staged.put(bytes);
  }

  async commit(root: IndexEntry, bytes: Uint8Array): Promise<void> {
    await this.putManifest(root, bytes);
    const staging = this.#staged.staging.path;
    const index = this.#isNew ? NEW_INDEX : await readExistingIndex(this.#reference.path);
    const entries = [...withoutTag(index, this.#reference, this.#options), tagged(root, this.#reference.tag)];
    const newIndex = writeJson({ ...index.value, manifests: entries }, index.style);
    await writeDurably(join(staging, INDEX_FILE), [newIndex]);
    const marker = writeJson({ imageLayoutVersion: LAYOUT_VERSION });
    await writeDurably(join(staging, LAYOUT_FILE), [marker]);
    if (this.#isNew) await this.#appear();
    else await this.#add(await this.#staged.names());
  }

  async close(): Promise<void> {
    await this.#staged.staging.remove();
  }

  async #appear(): Promise<void> {
    const staging = this.#staged.staging.path;
    await chmod(staging, folderMode());
    await syncFolder(staging);
    await moveDurably(staging, this.#reference.path);
  }

  /** Blobs first, since nobody sees them, then the index, which is the commit. */
  async #add(names: readonly string[]): Promise<void> {
    const folder = this.#reference.path;
    const staging = this.#staged.staging.path;
    const added: string[] = [];
    for (const name of names) {
      if (!(await exists(join(folder, name)))) added.push(name);
    }
    await writeDurably(join(staging, JOURNAL_FILE), [Buffer.from(added.join("\n"))]);
    try {
      for (const name of names) {
        await makeFolder(dirname(join(folder, name)));
        await moveDurably(join(staging, name), join(folder, name));
      }
      if (!(await exists(join(folder, LAYOUT_FILE))))
        await moveDurably(join(staging, LAYOUT_FILE), join(folder, LAYOUT_FILE));
      await moveDurably(join(staging, INDEX_FILE), join(folder, INDEX_FILE));
    } catch (error) {
      await removeAll(folder, added);
      throw error;
    }
  }
}

/** The index of what is there already. @throws DecoderError EXISTS when the folder holds something else */
async function readExistingIndex(folder: string): Promise<Document<Index>> {
  if (await exists(join(folder, INDEX_FILE))) return await readLayoutIndex(folder);
  const names = await readdir(folder).catch((error) => {
    throw new DecoderError(
      "EXISTS",
      `${folder} already exists and is not an image layout: ${describeSystemError(error)}`,
      { cause: error },
    );
  });
  if (names.every((name) => name === "lost+found" || name.startsWith("."))) return NEW_INDEX;
  throw new DecoderError("EXISTS", `${folder} already exists and is not an image layout`, {
    hint: "name a new directory, an empty one, or an image layout",
  });
}

/** The other images in the index. @throws DecoderError EXISTS when the tag is taken and may not be moved */
function withoutTag(
  index: Document<Index>,
  place: FileReference,
  { replace }: DestinationOptions,
): readonly IndexEntry[] {
  const others = index.value.manifests.filter((entry) => !isTagged(entry, place.tag));
  if (replace || others.length === index.value.manifests.length) return others;
  const what = place.tag === undefined ? "an image without a tag" : `the tag "${place.tag}"`;
  throw new DecoderError("EXISTS", `${place.text}: ${what} already exists`, {
    hint: "choose another tag, or replace it with --force",
  });
}

/** Takes back the blobs of a run that ended between its first rename and the last, which would have committed it. */
async function undoCommit(leftover: string, folder: string): Promise<void> {
  const journal = join(leftover, JOURNAL_FILE);
  const wasCommitted = !(await exists(join(leftover, INDEX_FILE)));
  if (wasCommitted || !(await exists(journal)) || (await changedSince(folder, journal))) return;
  const names = (await readFile(journal, "utf8")).split("\n").filter((name) => BLOB_NAME.test(name));
  await removeAll(folder, names);
}

/** Whether another run committed since: it may count on blobs that it found in place. */
async function changedSince(folder: string, journal: string): Promise<boolean> {
  const index = await stat(join(folder, INDEX_FILE)).catch(() => undefined);
  return index !== undefined && index.mtimeMs > (await stat(journal)).mtimeMs;
}

async function removeAll(folder: string, names: readonly string[]): Promise<void> {
  for (const name of names) await rm(join(folder, name), { force: true });
}
