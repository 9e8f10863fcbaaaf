/** What a long piece of work tells while it goes on. Nothing in here is shown by `image/` itself. */
export interface Progress {
  /** Once, before the first layer: how much is to be read, in bytes, and in how many layers. */
  begin(total: { readonly layers: number; readonly bytes: number }): void;
  /** So many bytes more have been read. */
  read(count: number): void;
  /** A layer is done. */
  finish(layer: LayerReport): void;
}

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
  readonly mediaType: string;
}

export const SILENT: Progress = { begin: () => undefined, read: () => undefined, finish: () => undefined };
