import type { Stats } from "node:fs";
import { join } from "node:path";
import { DecoderError, describeSystemError, type ErrorDetails } from "../errors.ts";
import { readSmallFile } from "../io/file.ts";
import { files } from "../process/files.ts";
import * as LIMITS from "../system-limits.ts";

/** Files that decide what may run: settings, policy, keys. Only root may be able to change them. */

/** The bytes of a file that only root may write. @throws DecoderError CONFIG */
export function readOwned(path: string): Uint8Array {
  checkWriters(path);
  try {
    return readSmallFile(path, LIMITS.configBytes);
  } catch (cause) {
    throw badFile(path, describeSystemError(cause), { cause });
  }
}

/**
 * @param path absolute
 * @param owner a user besides root who may own the places on the way
 * @throws DecoderError CONFIG when anyone else may change the file, or put another in its place
 */
export function checkWriters(path: string, owner = ROOT): void {
  try {
    for (const place of placesOn(path)) {
      const problem = writersProblem(place, owner);
      if (problem !== undefined) throw badFile(path, problem.why, { hint: problem.hint });
    }
  } catch (cause) {
    if (cause instanceof DecoderError) throw cause;
    throw badFile(path, describeSystemError(cause), { cause });
  }
}

interface Place {
  readonly path: string;
  readonly stat: Stats;
}

/**
 * The folders and links that decide what a path leads to, and the file. A user who can rename one of them, or who owns the
 * folder that a link leads through, can put another file at the path.
 * @throws Error from the system
 */
function* placesOn(path: string): Generator<Place> {
  const rest = path.split("/").slice(1);
  let links = 0;
  yield { path: "/", stat: files.lstatSync("/") };
  for (let at = "/", name = rest.shift(); name !== undefined; name = rest.shift()) {
    // The path so far has no link, so that ".." is the folder above.
    const next = join(at, name);
    const stat = files.lstatSync(next);
    yield { path: next, stat };
    if (!stat.isSymbolicLink()) {
      at = next;
      continue;
    }
    links += 1;
    if (links > LIMITS.symbolicLinks) throw new Error("too many symbolic links");
    const target = files.readlinkSync(next);
    rest.unshift(...target.split("/"));
    if (target.startsWith("/")) at = "/";
  }
}

const ROOT = 0;
const GROUP_OR_OTHERS_WRITE = 0o022;
const STICKY = 0o1000;

interface Problem {
  readonly why: string;
  readonly hint: string;
}

function writersProblem({ path, stat }: Place, owner: number): Problem | undefined {
  const { uid, mode } = stat;
  if (uid !== ROOT && uid !== owner)
    return {
      why: `${path} does not belong to root`,
      hint: `run \`chown ${stat.isSymbolicLink() ? "-h " : ""}root ${path}\``,
    };
  if (stat.isSymbolicLink() || (mode & GROUP_OR_OTHERS_WRITE) === 0) return undefined;
  // The sticky bit of a folder such as /tmp lets only the owner rename a file. The bit has no effect on a file itself.
  const isKept = stat.isDirectory() && (mode & STICKY) !== 0;
  return isKept
    ? undefined
    : { why: `others than root may write to ${path}`, hint: `run \`chmod go-w ${path}\`` };
}

export function badFile(path: string, why: string, details: ErrorDetails = {}): DecoderError {
  return new DecoderError("CONFIG", `can't use ${path}: ${why}`, details);
}
