import { accessSync, constants, lstatSync, readdirSync, readlinkSync, statSync } from "node:fs";
import { dirname } from "node:path";
import type { ConfigFiles } from "../containerd/config-files.ts";
import { DecoderError } from "../errors.ts";
import { readSmallFile } from "../io/file.ts";
import * as LIMITS from "../system-limits.ts";

/**
 * The file system of a node, mounted in a folder of this machine. Paths are the node's: absolute symbolic links stay inside
 * the folder, which would otherwise lead to files of this machine.
 */
export class NodeRoot implements ConfigFiles {
  /** "" for this machine's own file system. */
  readonly folder: string;

  constructor(folder: string) {
    this.folder = folder === "/" ? "" : folder.replace(/\/+$/, "");
  }

  /** Path on this machine of a node's file. Links are followed, except for the last name: that is what a rename replaces. */
  locate(path: string): string {
    return this.folder + this.#resolve(path, false);
  }

  /** Path on this machine of the file that a node's path leads to. */
  follow(path: string): string {
    return this.folder + this.#resolve(path, true);
  }

  read(path: string, maxBytes: number): Uint8Array<ArrayBuffer> {
    return readSmallFile(this.follow(path), maxBytes);
  }

  list(path: string): readonly string[] {
    try {
      return readdirSync(this.follow(path)).sort();
    } catch {
      return [];
    }
  }

  exists(path: string): boolean {
    return statSync(this.follow(path), { throwIfNoEntry: false }) !== undefined;
  }

  isFolder(path: string): boolean {
    return statSync(this.follow(path), { throwIfNoEntry: false })?.isDirectory() === true;
  }

  isExecutable(path: string): boolean {
    try {
      accessSync(this.follow(path), constants.X_OK);
      return statSync(this.follow(path)).isFile();
    } catch {
      return false;
    }
  }

  /** Whether a name exists, even as a dangling link. */
  isTaken(path: string): boolean {
    return lstatSync(this.locate(path), { throwIfNoEntry: false }) !== undefined;
  }

  /** Target of a symbolic link; undefined for anything else. */
  linkOf(path: string): string | undefined {
    return linkOf(this.locate(path));
  }

  /** Whether a path is this file system, seen through /proc/PID/root or another mount. */
  isSameAs(path: string): boolean {
    const [mine, other] = [this.folder || "/", path].map((it) => statSync(it, { throwIfNoEntry: false }));
    return mine !== undefined && mine.dev === other?.dev && mine.ino === other?.ino;
  }

  #resolve(path: string, followsLast: boolean): string {
    const pending = partsOf(path);
    let resolved = "";
    let links = 0;
    for (let name = pending.shift(); name !== undefined; name = pending.shift()) {
      if (name === "..") {
        resolved = dirname(resolved || "/").replace(/^\/$/, "");
        continue;
      }
      const next = `${resolved}/${name}`;
      const target = pending.length > 0 || followsLast ? linkOf(this.folder + next) : undefined;
      if (target === undefined) {
        resolved = next;
        continue;
      }
      links += 1;
      if (links > LIMITS.symbolicLinks) throw new DecoderError("IO", `${path} has too many symbolic links`);
      pending.unshift(...partsOf(target));
      if (target.startsWith("/")) resolved = "";
    }
    return resolved || "/";
  }
}

function partsOf(path: string): string[] {
  return path.split("/").filter((it) => it !== "" && it !== ".");
}

function linkOf(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}
