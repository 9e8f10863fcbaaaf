import { chmod, readdir, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { writeJson } from "../encoding/json-document.ts";
import { DecoderError, describeSystemError, errnoOf } from "../errors.ts";
import { FolderLock } from "../io/lock.ts";
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
import { removeAll, undoCommit, writeJournal } from "./commit-journal.ts";
import type { ImageDestination, Transfer } from "./destination.ts";
import type { Document } from "./documents.ts";
import type { FileReference } from "./file-reference.ts";
import { readLayoutIndex } from "./layout.ts";
import { INDEX_FILE, isTagged, LAYOUT_FILE, LAYOUT_VERSION, NEW_INDEX, tagged } from "./layout-index.ts";
import { hasBlob, StagedBlobs } from "./staged-blobs.ts";
import type { DestinationOptions } from "./transport.ts";

const PRIVATE_MODE = 0o700;

/**
 * An image layout's folder, new or with other images in it. Several processes may write to one: each commit holds the
 * folder's lock, and reads the index again.
 */
export class LayoutDestination implements ImageDestination {
  readonly #reference: FileReference;
  readonly #options: DestinationOptions;
  readonly #isNew: boolean;
  readonly #staged: StagedBlobs;
  /** Blobs of the image that were in the layout before. */
  readonly #found: Descriptor[] = [];

  private constructor(
    reference: FileReference,
    options: DestinationOptions,
    isNew: boolean,
    staging: Staging,
  ) {
    this.#reference = reference;
    this.#options = options;
    this.#isNew = isNew;
    this.#staged = new StagedBlobs(staging);
  }

  static async open(reference: FileReference, options: DestinationOptions): Promise<LayoutDestination> {
    const { path } = reference;
    const isNew = !(await exists(path));
    if (!isNew) withoutTag(await readExistingIndex(path), reference, options);
    // An existing layout may be a file system of its own. A new one appears as a whole, from beside it.
    const staging = await Staging.create(isNew ? dirname(path) : path, (leftover) =>
      undoCommit(leftover, path),
    );
    return new LayoutDestination(reference, options, isNew, staging);
  }

  async take(descriptor: Descriptor): Promise<Transfer | undefined> {
    const { digest, size } = descriptor;
    if (await this.#staged.has(digest, size)) return "present";
    if (this.#isNew || !(await hasBlob(this.#reference.path, digest, size))) return undefined;
    this.#found.push(descriptor);
    return "present";
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
    const marker = writeJson({ imageLayoutVersion: LAYOUT_VERSION });
    await writeDurably(join(this.#staging, LAYOUT_FILE), [marker]);
    if (this.#isNew && (await this.#appear(root))) return;
    const lock = await FolderLock.take(this.#reference.path, this.#staging, this.#options.signal);
    try {
      await this.#add(root, lock);
    } finally {
      await lock.release();
    }
  }

  async close(): Promise<void> {
    await this.#staged.staging.remove();
  }

  get #staging(): string {
    return this.#staged.staging.path;
  }

  /** Makes the staging folder the layout. @returns false when another process has made one in the meantime */
  async #appear(root: IndexEntry): Promise<boolean> {
    const { path } = this.#reference;
    await this.#writeIndex(NEW_INDEX, root);
    await chmod(this.#staging, folderMode());
    await syncFolder(this.#staging);
    try {
      await moveDurably(this.#staging, path);
      return true;
    } catch (error) {
      if (!(await exists(path))) throw error;
      await chmod(this.#staging, PRIVATE_MODE);
      await rm(join(this.#staging, INDEX_FILE));
      return false;
    }
  }

  async #writeIndex(index: Document<Index>, root: IndexEntry): Promise<void> {
    const others = withoutTag(index, this.#reference, this.#options);
    const manifests = [...others, tagged(root, this.#reference.tag)];
    const bytes = writeJson({ ...index.value, manifests }, index.style);
    await writeDurably(join(this.#staging, INDEX_FILE), [bytes]);
  }

  /** Adds blobs first, since they are not visible without the index. The index is the commit. */
  async #add(root: IndexEntry, lock: FolderLock): Promise<void> {
    const folder = this.#reference.path;
    await this.#writeIndex(await readExistingIndex(folder), root);
    await this.#checkFound();
    const names = await this.#staged.names();
    const added: string[] = [];
    for (const name of names) {
      if (!(await exists(join(folder, name)))) added.push(name);
    }
    await writeJournal(this.#staging, added);
    try {
      for (const name of names) {
        await makeFolder(dirname(join(folder, name)));
        await this.#move(name);
      }
      if (!(await exists(join(folder, LAYOUT_FILE)))) await this.#move(LAYOUT_FILE);
      await lock.check();
      await this.#move(INDEX_FILE);
    } catch (error) {
      await removeAll(folder, added);
      throw error;
    }
  }

  /** Another process that failed may have removed blobs that it had added: this image must not count on them. */
  async #checkFound(): Promise<void> {
    const folder = this.#reference.path;
    for (const { digest, size } of this.#found) {
      if (await hasBlob(folder, digest, size)) continue;
      throw new DecoderError("IO", `blob ${digest} was removed from ${folder} meanwhile`, {
        hint: "run the command again",
      });
    }
  }

  async #move(name: string): Promise<void> {
    await moveDurably(join(this.#staging, name), join(this.#reference.path, name));
  }
}

const DESTINATION_HINT = "name a new directory, an empty one, or an image layout";

/** The index of an existing layout or empty folder. @throws DecoderError EXISTS when the folder holds something else */
async function readExistingIndex(folder: string): Promise<Document<Index>> {
  if (await exists(join(folder, INDEX_FILE))) return await readLayoutIndex(folder);
  const names = await readdir(folder).catch((error) => {
    const why = errnoOf(error) === "ENOTDIR" ? "it is not a directory" : describeSystemError(error);
    throw new DecoderError("EXISTS", `${folder} already exists and is not an image layout: ${why}`, {
      hint: DESTINATION_HINT,
      cause: error,
    });
  });
  if (names.every((name) => name === "lost+found" || name.startsWith("."))) return NEW_INDEX;
  throw new DecoderError("EXISTS", `${folder} already exists and is not an image layout`, {
    hint: DESTINATION_HINT,
  });
}

/** The other images of the index. @throws DecoderError EXISTS when the tag exists and may not be moved */
function withoutTag(
  index: Document<Index>,
  reference: FileReference,
  { replace }: DestinationOptions,
): readonly IndexEntry[] {
  const others = index.value.manifests.filter((entry) => !isTagged(entry, reference.tag));
  if (replace || others.length === index.value.manifests.length) return others;
  const what = reference.tag === undefined ? "an image without a tag" : `the tag "${reference.tag}"`;
  throw new DecoderError("EXISTS", `${reference.text}: ${what} already exists`, {
    hint: "choose another tag, or replace it with --force",
  });
}
