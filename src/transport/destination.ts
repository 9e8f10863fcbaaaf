import type { IndexEntry } from "../spec/manifest.ts";
import { ArchiveTarget } from "./archive-destination.ts";
import { LayoutTarget } from "./layout-destination.ts";
import type { Place } from "./reference.ts";

/** Where an image is written: nothing of it can be seen before `commit`, all of it after. */
export interface ImageTarget {
  /** Whether the image's blob of that digest is there, or will be. */
  has(digest: string, size: number): Promise<boolean>;
  /** The path of a new file to write a blob to, on the destination's file system. */
  newFile(): string;
  /** Makes such a finished file a blob of the image. @throws DecoderError IO */
  adopt(path: string, digest: string): Promise<void>;
  /** Puts the image in place, under the destination's tag. @throws DecoderError EXISTS, IO; then nothing has changed */
  commit(root: IndexEntry): Promise<void>;
  /** Removes what was not put in place. Never throws. */
  close(): Promise<void>;
}

export interface TargetOptions {
  /** Moves a tag, or replaces an archive, that is there already. */
  readonly replace: boolean;
  /** Stops a `commit` that takes its time. */
  readonly signal?: AbortSignal;
}

/** @throws DecoderError EXISTS, NOT_FOUND, BAD_IMAGE, IO */
export async function openTarget(place: Place, options: TargetOptions): Promise<ImageTarget> {
  return place.kind === "oci"
    ? await LayoutTarget.open(place, options)
    : await ArchiveTarget.open(place, options);
}
