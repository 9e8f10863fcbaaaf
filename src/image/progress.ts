import { NO_PROGRESS, type TransferProgress } from "../transport/progress.ts";
import type { Recipients } from "./recipients.ts";

/** Receives the progress of a command. Nothing in image/ shows it. */
export interface Progress extends TransferProgress {
  /** Reports a finished layer. Layers are reported in the order of the image, whichever thread is done first. */
  finish(layer: LayerReport): void;
}

/** How a blob came to its destination: it was there, the registry linked it, or its bytes were moved. */
export type BlobTransfer = "none" | "mounted" | "copied";

/** What became of one layer. */
export interface LayerReport {
  /** "linux/amd64", or the manifest's digest if its platform is unknown. */
  readonly platform: string;
  /** From 0, in the platform's manifest: the number that --layer takes. */
  readonly position: number;
  readonly action: "encrypted" | "decrypted" | "rewrapped" | "verified";
  readonly digest: string;
  /** Digest before. */
  readonly from: string;
  /** In bytes. */
  readonly size: number;
  readonly mediaType: string;
  readonly transfer: BlobTransfer;
  /** Of an encrypted or rewrapped layer. */
  readonly recipients?: Recipients;
}

/** How work on an image runs, as opposed to what it does. */
export interface Running {
  readonly progress: Progress;
  /** Undefined: as many as cores. */
  readonly threads?: number;
  /** Aborts the work. */
  readonly signal?: AbortSignal;
}

export const SILENT: Progress = { ...NO_PROGRESS, finish: () => undefined };
