import { DecoderError, describeSystemError, errnoOf } from "../errors.ts";
import { readFully, SEPARATOR } from "../io/file.ts";
import * as LIMITS from "../limits.ts";
import { constants, files, realpath } from "../process/files.ts";

interface KeyFile {
  /** Path relative to the keys path, or the file's own name when the keys path is a file. */
  readonly name: string;
  readonly data: Uint8Array<ArrayBuffer>;
}

interface WalkOptions {
  /** Follows symlinks that lead out of the directory. */
  readonly allowExternalSymlinks: boolean;
  readonly onSkip: (name: string, reason: string) => void;
}

/** Kubernetes keeps a volume's versions in `..data` and `..2024_…`, and links the keys from beside them. */
const VOLUME_INTERNAL = "..";
/** Attempts to resolve a path while the kubelet replaces the volume. */
const EXCHANGES = 3;

/** O_NONBLOCK: a FIFO that replaces a file after it was listed must not stop the pull. */
const OPEN_FLAGS = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0) | (constants.O_NOCTTY ?? 0);
/** A link that replaces a file after it was listed must not be followed. */
const NO_LINK = constants.O_NOFOLLOW ?? 0;

const LEAVES = "a symlink that leaves the directory (--allow-external-symlinks follows it)";

/**
 * Reads the files of a keys path: a directory, in lexical order as Go does, or a single file. A file with several links is
 * read once. Files that can't be read go to `onSkip`.
 */
export function walkKeys(path: string, options: WalkOptions): KeyFile[] {
  const walk = new Walk(path, options);
  try {
    const root = files.statSync(path);
    if (root.isDirectory()) walk.directory("", realpath(path), 0);
    else walk.file(path.slice(path.lastIndexOf(SEPARATOR) + 1), path);
  } catch (error) {
    walk.failed(path, error);
  }
  return walk.found;
}

class Walk {
  readonly found: KeyFile[] = [];
  readonly #options: WalkOptions;
  readonly #path: string;
  readonly #seen = new Set<string>();
  #root: string | undefined;

  constructor(path: string, options: WalkOptions) {
    this.#path = path;
    this.#options = options;
  }

  /** @param name path relative to the keys path, "" for the keys path itself. @param real its path without symlinks */
  directory(name: string, real: string, depth: number): void {
    if (depth > LIMITS.keyDirectoryDepth) return this.#options.onSkip(name, "nested too deeply");
    this.#root ??= real;
    if (!this.#first(real)) return;
    try {
      const entries = files.readdirSync(real, { withFileTypes: true });
      entries.sort((a, b) => (a.name < b.name ? -1 : 1));
      for (const entry of entries) {
        if (this.found.length >= LIMITS.keyFiles) {
          return this.#options.onSkip(
            name || ".",
            `more than ${LIMITS.keyFiles} files; the others are not read`,
          );
        }
        if (entry.name.startsWith(VOLUME_INTERNAL)) continue;
        const inner = name === "" ? entry.name : `${name}/${entry.name}`;
        const place = `${real}/${entry.name}`;
        // An entry of the keys folder itself has no links on its way.
        if (entry.isFile()) this.file(inner, place, real !== this.#root);
        else if (entry.isDirectory()) this.directory(inner, place, depth + 1);
        else if (entry.isSymbolicLink()) this.#link(inner, place, depth);
        else this.#options.onSkip(inner, "not a regular file");
      }
    } catch (error) {
      this.failed(name || this.#path, error);
    }
  }

  #link(name: string, place: string, depth: number): void {
    try {
      const real = realPath(place);
      if (this.#leaves(real)) return this.#options.onSkip(name, LEAVES);
      // Opened by the link's own name: open(2) resolves the whole path at once, even while the kubelet exchanges `..data`.
      if (files.statSync(place).isDirectory()) this.directory(name, real, depth + 1);
      else this.file(name, place);
    } catch (error) {
      this.failed(name, error);
    }
  }

  /** @param isFollowed whether the path has links; then the opened file's place is checked, since links may have changed */
  file(name: string, place: string, isFollowed = true): void {
    let fd: number | undefined;
    try {
      fd = files.openSync(place, isFollowed ? OPEN_FLAGS : OPEN_FLAGS | NO_LINK);
      const stat = files.fstatSync(fd);
      if (!stat.isFile()) return this.#options.onSkip(name, "not a regular file");
      if (isFollowed && this.#leaves(openedPath(fd))) return this.#options.onSkip(name, LEAVES);
      if (!this.#first(`${stat.dev}:${stat.ino}`)) return;
      if (stat.size > LIMITS.keyFileBytes) return this.#options.onSkip(name, "larger than any key");
      this.found.push({ name, data: readWhole(fd, stat.size) });
    } catch (error) {
      this.failed(name, error);
    } finally {
      if (fd !== undefined) files.closeSync(fd);
    }
  }

  /** Skips what could not be read. Rethrows what `onSkip` itself threw. */
  failed(name: string, error: unknown): void {
    if (error instanceof DecoderError) throw error;
    this.#options.onSkip(name, describeSystemError(error));
  }

  /** Whether a path lies outside the keys directory. A keys path that is a file has no outside. */
  #leaves(real: string | undefined): boolean {
    if (this.#root === undefined || real === undefined || this.#options.allowExternalSymlinks) return false;
    return real !== this.#root && !real.startsWith(`${this.#root}${SEPARATOR}`);
  }

  #first(identity: string): boolean {
    if (this.#seen.has(identity)) return false;
    this.#seen.add(identity);
    return true;
  }
}

/** realpath(3) follows links one by one, so it fails when the volume is replaced meanwhile. It is then retried. */
function realPath(place: string): string {
  for (let attempt = 1; ; attempt++) {
    try {
      return realpath(place);
    } catch (error) {
      if (errnoOf(error) !== "ENOENT" || attempt === EXCHANGES) throw error;
    }
  }
}

/** The path of an open file; undefined without /proc. */
function openedPath(fd: number): string | undefined {
  try {
    return files.readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return undefined;
  }
}

/** Reads into memory of its own: keys are zeroed after use. */
function readWhole(fd: number, size: number): Uint8Array<ArrayBuffer> {
  const data = new Uint8Array(size);
  const length = readFully(fd, data, null);
  return length === size ? data : data.slice(0, length);
}
