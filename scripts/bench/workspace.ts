/** What all rows share: the programs, a key and layers in one temporary folder. */
import { execFileSync } from "node:child_process";
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { defaultDirectory } from "../../src/io/spool.ts";
import { goDecoder, ours, PROJECT } from "../../test/support/peers.ts";
import { COMPILE_FLAGS } from "../compile-flags.ts";
import { type Keys, type LayerFiles, writeKeys, writeLayer } from "./inputs.ts";
import { type CommandLine, forget, settle } from "./programs.ts";
import { GiB } from "./units.ts";

/** Larger layers are removed after their row. */
const KEPT_BYTES = 4 * GiB;

/** The decoders to compare. */
export type Decoders = Readonly<Record<"ours" | "stream" | "go", CommandLine>>;

export class Workspace {
  readonly folder = mkdtempSync(join(defaultDirectory(), "ctd-decoder-bench-"));
  readonly ours = join(this.folder, "ctd-decoder");
  readonly #go = join(this.folder, "go-ctd-decoder");
  readonly #layers = new Map<number, LayerFiles>();
  #keys: Promise<Keys> | undefined;

  constructor() {
    // Both are fresh copies. A build cannot replace ours meanwhile, and neither has an advantage in the page cache: a large
    // executable that was read in small pieces costs milliseconds more at each start.
    copyFileSync(ours.command, this.ours);
    copyFileSync(goDecoder.command, this.#go);
  }

  /** An RSA-2048 key pair that opens every {@link layer}. */
  keys(): Promise<Keys> {
    this.#keys ??= writeKeys(join(this.folder, "keys"), "rsa");
    return this.#keys;
  }

  async layer(bytes: number): Promise<LayerFiles> {
    const known = this.#layers.get(bytes);
    if (known !== undefined) return known;
    const { recipients } = await this.keys();
    const made = await writeLayer(join(this.folder, `layer-${bytes}`), bytes, recipients);
    this.#layers.set(bytes, made);
    return made;
  }

  async decoders(): Promise<Decoders> {
    return this.decodersWith(await this.keys());
  }

  /** Further copies of the decoders, on the disk and no longer in memory. A row may drop them from memory again. */
  async decodersOnDisk(): Promise<Pick<Decoders, "ours" | "go">> {
    const { ours, go } = await this.decoders();
    const copies = { ours: copyOf(ours), go: copyOf(go) };
    settle();
    for (const [command] of Object.values(copies)) forget(command);
    return copies;
  }

  decodersWith(keys: Keys): Decoders {
    const args = ["--decryption-keys-path", keys.folder] as const;
    return {
      ours: [this.ours, ...args],
      stream: [this.ours, ...args, "--release=stream"],
      go: [this.#go, ...args],
    };
  }

  /** An empty folder for one row. */
  newFolder(name: string): string {
    const path = join(this.folder, name);
    mkdirSync(path);
    return path;
  }

  /** An executable that does nothing, from the same compiler. It measures the cost of a start. */
  emptyExecutable(): CommandLine {
    const [source, target] = [join(this.folder, "empty.ts"), join(this.folder, "empty")];
    writeFileSync(source, "export {};\n");
    execFileSync(
      join(PROJECT, "node_modules/.bin/bun"),
      ["build", ...COMPILE_FLAGS, `--outfile=${target}`, source],
      { cwd: this.folder, stdio: "ignore" },
    );
    copyFileSync(target, `${target}.copy`);
    chmodSync(`${target}.copy`, 0o755);
    return [`${target}.copy`];
  }

  removeLargeLayers(): void {
    for (const [bytes, { path }] of this.#layers) {
      if (bytes <= KEPT_BYTES) continue;
      rmSync(path);
      this.#layers.delete(bytes);
    }
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

function copyOf([command, ...args]: CommandLine): CommandLine {
  const copy = `${command}-on-disk`;
  copyFileSync(command, copy);
  return [copy, ...args];
}
