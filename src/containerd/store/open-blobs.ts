import { describeSystemError } from "../../errors.ts";
import { processField } from "../../io/process-field.ts";
import * as LIMITS from "../../limits.ts";
import { files } from "../../process/files.ts";
import { parseDigest } from "../../spec/digest.ts";

/** A blob of a content store that a process has open. */
interface OpenBlob {
  /** The store's folder, the one with `blobs` in it. */
  readonly store: string;
  readonly digest: string;
  /** Path of the open file below /proc, which stays readable after the blob's name is gone. */
  readonly path: string;
}

interface OpenBlobs {
  readonly blobs: readonly OpenBlob[];
  /** The process that was examined, for messages: "process 812 (containerd)". */
  readonly asked: string;
  /** Why a process's open files could not be listed. */
  readonly problem: string | undefined;
}

/** The link of an open blob; the kernel marks one whose name is gone. */
const BLOB_LINK =
  /^(?<store>\/.*\/io\.containerd\.content\.v1\.content)\/blobs\/(?<algorithm>[^/]+)\/(?<hex>[^/ ]+)(?: \(deleted\))?$/;

/** containerd may have started the decoder through a shell script that stayed. */
const GENERATIONS = 4;

/**
 * The blobs that containerd is reading, taken from the nearest ancestor that has blobs open. A blob opened several times
 * appears as often. containerd keeps a layer's blob open until the decoder's output has ended.
 */
export function openBlobs(generations = GENERATIONS): OpenBlobs {
  let problem: string | undefined;
  let asked = "the process that started the decoder";
  let pid = parentOf("self");
  for (let i = 0; i < generations && pid !== undefined; i++) {
    if (i === 0) asked = `process ${pid} (${nameOf(pid)})`;
    try {
      const blobs = [...blobsOf(pid)];
      if (blobs.length > 0) return { blobs, asked: `process ${pid} (${nameOf(pid)})`, problem: undefined };
    } catch (error) {
      problem ??= `the open files of process ${pid} (${nameOf(pid)}) can't be listed: ${describeSystemError(error)}`;
    }
    pid = parentOf(pid);
  }
  return { blobs: [], asked, problem };
}

function* blobsOf(pid: string): Generator<OpenBlob> {
  for (const fd of files.readdirSync(`/proc/${pid}/fd`).slice(0, LIMITS.openFiles)) {
    const path = `/proc/${pid}/fd/${fd}`;
    const { store, algorithm, hex } = BLOB_LINK.exec(linkOf(path))?.groups ?? {};
    const digest = `${algorithm}:${hex}`;
    if (store !== undefined && parseDigest(digest) !== undefined) yield { store, digest, path };
  }
}

/** Returns "" for a file that has since been closed. @throws Error when this user may not examine the process */
function linkOf(path: string): string {
  try {
    return files.readlinkSync(path);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return "";
    throw error;
  }
}

/** proc_pid_stat(5): the parent is field 4. */
function parentOf(pid: string): string | undefined {
  const parent = processField(pid, 4);
  return parent === "0" ? undefined : parent;
}

function nameOf(pid: string): string {
  try {
    return files.readFileSync(`/proc/${pid}/comm`, "utf8").trim();
  } catch {
    return "?";
  }
}
