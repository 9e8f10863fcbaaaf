import { stat } from "node:fs/promises";
import { DecoderError, describeSystemError, errnoOf } from "../errors.ts";
import { compressionOf, MAGIC_BYTES } from "../io/compression.ts";
import { readPipe, stoppable } from "../io/pipe.ts";
import { Staging, writeDurably } from "../io/staging.ts";
import { type FileRange, readBlob, readHead, wholeFile } from "./blob.ts";
import { decompress } from "./compression.ts";
import { counted, NO_PROGRESS } from "./progress.ts";
import type { OpenOptions } from "./transport.ts";

/** An uncompressed file that can be read at any offset until it is closed. */
export interface ArchiveFile {
  readonly range: FileRange;
  /** The file in messages. */
  readonly name: string;
  close(): Promise<void>;
}

const STDIN = 0;
/** Only the owner may read the spooled file, since the image may be private. */
const SPOOL_MODE = 0o600;

/**
 * Opens an archive. A pipe and a compressed file are copied to a temporary file first.
 * @param path "-" for standard input
 * @throws DecoderError NOT_FOUND, BAD_IMAGE, IO, INTERRUPTED
 */
export async function openArchiveFile(
  path: string,
  { progress = NO_PROGRESS, signal }: OpenOptions = {},
): Promise<ArchiveFile> {
  const name = path === "-" ? "the archive on standard input" : path;
  let staging: Staging | undefined;
  const close = async () => await staging?.remove();
  const spool = async (chunks: AsyncIterable<Uint8Array>) => {
    staging ??= await Staging.create();
    const copy = staging.newFile();
    const input = counted(stoppable(chunks, signal), progress);
    return wholeFile(copy, await writeDurably(copy, input, { mode: SPOOL_MODE }));
  };
  try {
    progress.begin({ kind: "reading", bytes: undefined });
    let range = path === "-" ? await spool(readPipe(STDIN, "standard input")) : await regularFile(path);
    if (path === "-" && range.size === 0) {
      throw new DecoderError("BAD_IMAGE", "standard input is empty", {
        hint: "the program that writes to it may have failed: look for its message",
      });
    }
    const compression = compressionOf(await readHead(range, MAGIC_BYTES));
    if (compression !== "none") range = await spool(decompress(compression, readBlob(range), name));
    return { range, name, close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function regularFile(path: string): Promise<FileRange> {
  const found = await stat(path).catch((error) => {
    const code = errnoOf(error) === "ENOENT" ? "NOT_FOUND" : "IO";
    throw new DecoderError(code, `can't read ${path}: ${describeSystemError(error)}`, { cause: error });
  });
  if (found.isDirectory()) {
    throw new DecoderError("BAD_IMAGE", `${path} is a directory, not an archive`, {
      hint: `an image layout is read as oci:${path}`,
    });
  }
  if (!found.isFile()) throw new DecoderError("BAD_IMAGE", `${path} is not a regular file`);
  return wholeFile(path, found.size);
}
