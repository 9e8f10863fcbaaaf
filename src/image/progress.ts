/** What a long piece of work tells while it goes on. Nothing in here is shown by `image/` itself. */
export interface Progress {
  /** Once, before the first layer: how much is to be read, in bytes, and in how many layers. */
  begin(total: { readonly layers: number; readonly bytes: number }): void;
  /** So many bytes more have been read; less than none when an upload starts anew. */
  read(count: number): void;
  /** A layer is done. */
  finish(layer: LayerReport): void;
}

/** How a blob came to its destination: it was there, the registry linked it, or its bytes were moved. */
export type BlobTransfer = "none" | "mounted" | "copied";

/** What became of one layer. */
export interface LayerReport {
  /** "linux/amd64", or the manifest's digest when no platform is known. */
  readonly platform: string;
  readonly position: number;
  readonly action: "encrypted" | "decrypted" | "rewrapped" | "verified";
  readonly digest: string;
  /** The digest that it had before. */
  readonly from: string;
  /** In bytes. */
  readonly size: number;
  readonly transfer: BlobTransfer;
  readonly mediaType: string;
}

export const SILENT: Progress = { begin: () => undefined, read: () => undefined, finish: () => undefined };
