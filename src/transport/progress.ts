/** Reports how far a long piece of work is. The caller decides what is shown. */
export interface TransferProgress {
  /** Starts a phase, which ends when the next one starts. */
  begin(phase: Phase): void;
  /** Counts bytes of the phase that are done. */
  advance(bytes: number): void;
}

export interface Phase {
  readonly kind: PhaseKind;
  /** Bytes that the phase reads; undefined if unknown in advance. */
  readonly bytes: number | undefined;
}

/**
 * reading: an archive is copied to a temporary file or scanned. packing: a layer is made of files. layers: layers and other
 * blobs are worked on. writing: an archive is put together.
 */
export type PhaseKind = "reading" | "packing" | "layers" | "writing";

export const NO_PROGRESS: TransferProgress = { begin: () => undefined, advance: () => undefined };

/** The same chunks, counted. */
export async function* counted(
  chunks: AsyncIterable<Uint8Array>,
  progress: TransferProgress,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    // The consumer may free the chunk.
    const { length } = chunk;
    yield chunk;
    progress.advance(length);
  }
}
