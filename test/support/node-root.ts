import {
  chmodSync,
  cpSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { sha256 } from "./images.ts";
import { busybox, type Finished, ours, run } from "./peers.ts";

/** A program that `install` accepts: a script for a root that has busybox. */
export const FAKE_PROGRAM = '#!/bin/busybox sh\necho "ctd-decoder 9.9.9"\n';

/** Prepared file systems of nodes, and a service manager that does nothing but take notes. */
export class Nodes {
  readonly program: string;
  readonly #folder: string;
  readonly #bin: string;

  constructor(folder: string) {
    this.#folder = folder;
    this.#bin = join(folder, "bin");
    this.program = this.write("program", FAKE_PROGRAM);
    mkdirSync(this.#bin);
    // systemctl of a node, reached by nsenter: $folder/ACTION, where it exists, is what it does instead of succeeding.
    const lines = [
      "#!/bin/sh",
      'while [ "$1" != -- ]; do shift; done; shift',
      `echo "$*" >>"${folder}/calls"`,
      `if [ -e "${folder}/$2" ]; then . "${folder}/$2"; fi`,
      "case $2 in show) echo loaded ;; esac",
      "",
    ];
    this.write("bin/nsenter", lines.join("\n"));
  }

  /** Writes an executable of this machine. */
  write(name: string, text: string | Uint8Array): string {
    const path = join(this.#folder, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
    chmodSync(path, 0o755);
    return path;
  }

  /** A node's file system with these files, in which scripts run. */
  make(files: Readonly<Record<string, string>> = {}): string {
    const node = mkdtempSync(join(this.#folder, "node-"));
    for (const path of ["bin", "proc", "usr/local/bin", "var/lib"])
      mkdirSync(join(node, path), { recursive: true });
    const shared = join(this.#folder, "busybox");
    if (!existsSync(shared)) cpSync(busybox.command, shared);
    linkSync(shared, join(node, "bin/busybox"));
    for (const [path, text] of Object.entries(files)) put(node, path, text);
    return node;
  }

  async run(
    command: "install" | "uninstall",
    node: string,
    ...args: string[]
  ): Promise<Finished & { said: string }> {
    const program = command === "install" ? ["--binary", this.program, "--containerd", "1.7.24"] : [];
    const finished = await run(ours, [command, "--root", node, ...program, ...args], {
      env: this.environment,
    });
    return { ...finished, said: finished.stdout.toString() + finished.stderr };
  }

  get environment(): Record<string, string | undefined> {
    return { ...process.env, PATH: `${this.#bin}:${process.env["PATH"]}` };
  }

  /** What `systemctl ACTION` does from now on, in shell; undefined: it succeeds. */
  onAction(action: string, script: string): void {
    writeFileSync(join(this.#folder, action), script);
  }

  /** The calls of systemctl since the last time. */
  takeCalls(): string[] {
    const path = join(this.#folder, "calls");
    const calls = existsSync(path) ? readFileSync(path, "utf8").split("\n").filter(Boolean) : [];
    writeFileSync(path, "");
    return calls;
  }
}

export function put(node: string, path: string, text: string): void {
  mkdirSync(dirname(join(node, path)), { recursive: true });
  writeFileSync(join(node, path), text);
}

/** Puts a program on a node that exists and can be executed, no more. */
export function putProgram(node: string, path: string): void {
  put(node, path, "#!/bin/sh\n");
  chmodSync(join(node, path), 0o755);
}

/** Everything below a folder: kind, mode, and content or target of each name. */
export function snapshot(folder: string): Record<string, string> {
  const names = readdirSync(folder, { recursive: true, encoding: "utf8" }).sort();
  return Object.fromEntries(
    names.map((name) => {
      const stat = lstatSync(join(folder, name));
      const what = stat.isSymbolicLink()
        ? `link to ${readlinkSync(join(folder, name))}`
        : stat.isFile()
          ? contentOf(join(folder, name))
          : "folder";
      return [name, `${(stat.mode & 0o7777).toString(8)} ${what}`];
    }),
  );
}

function contentOf(path: string): string {
  const bytes = readFileSync(path);
  return bytes.length > 10_000 ? sha256(bytes) : bytes.toString();
}
