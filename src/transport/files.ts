import { stoppable } from "../io/pipe.ts";
import { openArchiveFile } from "./archive-file.ts";
import { readBlob } from "./blob.ts";
import { counted, NO_PROGRESS } from "./progress.ts";
import { rootfsEntries } from "./rootfs.ts";
import type { FilesSource } from "./source.ts";
import { packTar, tarEntries } from "./tar.ts";
import type { OpenOptions } from "./transport.ts";

/** A folder as one tar archive. Its errors come when the archive is read. */
export async function openRootfs(folder: string, { signal }: OpenOptions = {}): Promise<FilesSource> {
  const tar = stoppable(packTar(rootfsEntries(folder)), signal);
  return { tar, bytes: undefined, close: async () => undefined };
}

/**
 * A tar archive as it is. It is read once before, so that nothing else becomes a layer.
 * @throws DecoderError NOT_FOUND, BAD_IMAGE, IO, INTERRUPTED
 */
export async function openTar(path: string, options: OpenOptions = {}): Promise<FilesSource> {
  const { progress = NO_PROGRESS, signal } = options;
  const { range, name, close } = await openArchiveFile(path, options);
  try {
    progress.begin({ kind: "reading", bytes: range.size });
    for await (const _entry of tarEntries(counted(stoppable(readBlob(range), signal), progress), name)) {
      // The entries themselves don't matter: each follows the one before, up to the end.
    }
    return { tar: stoppable(readBlob(range), signal), bytes: range.size, close };
  } catch (error) {
    await close();
    throw error;
  }
}
