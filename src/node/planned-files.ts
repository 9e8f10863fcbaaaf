import { basename, delimiter, dirname, isAbsolute, join } from "node:path";
import type { ConfigFiles } from "../containerd/config-files.ts";
import type { FileChange } from "./changes.ts";
import type { FileLookup } from "./check-processors.ts";
import type { NodeRoot } from "./node-root.ts";

/** A node's files as they will be after an installation. */
export class PlannedFiles implements ConfigFiles, FileLookup {
  readonly #node: NodeRoot;
  readonly #changes: ReadonlyMap<string, FileChange>;
  readonly #folders: readonly string[];
  readonly #searchPath: string;

  /** @param folders folders that will exist. @param searchPath containerd's PATH */
  constructor(
    node: NodeRoot,
    changes: readonly FileChange[],
    folders: readonly string[],
    searchPath: string,
  ) {
    this.#node = node;
    this.#changes = new Map(changes.map((it) => [it.path, it]));
    this.#folders = folders;
    this.#searchPath = searchPath;
  }

  read(path: string, maxBytes: number): Uint8Array {
    const content = this.#changes.get(path)?.content;
    return content !== undefined && "text" in content
      ? Buffer.from(content.text)
      : this.#node.read(path, maxBytes);
  }

  list(folder: string): readonly string[] {
    const added = [...this.#changes.keys()]
      .filter((path) => dirname(path) === folder)
      .map((path) => basename(path));
    return [...new Set([...this.#node.list(folder), ...added])].sort();
  }

  exists(path: string): boolean {
    return this.#changes.has(path) || this.#folders.includes(path) || this.#node.exists(path);
  }

  findProgram(path: string): string | undefined {
    const folders = this.#searchPath.split(delimiter).filter((folder) => isAbsolute(folder));
    const places = path.includes("/") ? [path] : folders.map((folder) => join(folder, path));
    return places.find((it) => this.#changes.get(it)?.kind === "program" || this.#node.isExecutable(it));
  }
}
