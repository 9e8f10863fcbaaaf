import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Finished, ours, type Peer, registry, run } from "../support/peers.ts";
import { ImageService } from "./cri.ts";
import { configOf, type NodeOptions, type Release, zstdApart } from "./release.ts";

const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
export const REGISTRY = "127.0.0.1:5000";
const START_MS = 240_000;

/**
 * The first process of a node, in mount, network and process namespaces of its own: all mounts, ports and processes
 * are gone with it, and it ends when its stdin does, however the tests end.
 * $1 the node's folder, $2 the folder that has the release's programs or "" for the machine's, $3 the registry's command.
 */
const INIT = `
set -e
folder=$1 root=$2 registry=$3
# /proc is still the machine's: that is the process ID to enter these namespaces by.
read -r pid rest </proc/self/stat
busybox ifconfig lo up
"$registry" serve "$folder/registry.yml" >"$folder/registry.log" 2>&1 &
if [ -n "$root" ]; then
  mkdir -p "$root/proc" "$root/sys" "$root/dev" "$root/tmp" "$root/run"
  mount --bind "$root" "$root"
  mount --rbind /sys "$root/sys"
  mount --rbind /dev "$root/dev"
  mount -t tmpfs tmpfs "$root/tmp"
  mkdir -p "$root$folder" "$root/tmp/machine"
  mount --bind "$folder" "$root$folder"
  # runc can't pivot below a mere chroot.
  cd "$root"
  busybox pivot_root . tmp/machine
  busybox umount -l /tmp/machine
fi
busybox mount -t proc proc /proc
busybox mount -t tmpfs tmpfs /run
busybox env -i PATH="$PATH" containerd --config "$folder/config.toml" >"$folder/containerd.log" 2>&1 &
echo "$pid" >"$folder/pid"
read -r end || :
`;

/** A node: containerd with a decoder, and a registry, both empty and alone in a network of their own. */
export class Node {
  readonly folder: string;
  readonly images: ImageService;
  readonly #init: ChildProcess;

  static async start(release: Release, options: Start = {}): Promise<Node> {
    const node = new Node(release, options);
    try {
      await node.#ready();
      return node;
    } catch (error) {
      await node.stop();
      throw error;
    }
  }

  private constructor(release: Release, options: Start) {
    this.folder = mkdtempSync(join(tmpdir(), "ctd-decoder-node-"));
    for (const name of ["keys", "spool", "registry", "conf.d"]) mkdirSync(join(this.folder, name));
    this.#writeDecoder(options.args ?? []);
    writeFileSync(join(this.folder, "config.toml"), configOf(release, this.folder, options));
    if (options.processors !== "none")
      writeFileSync(join(this.folder, "conf.d/ctd-decoder.toml"), this.#processors(release, options));
    writeFileSync(join(this.folder, "registry.yml"), registryConfig(this.folder));
    const unshare = ["--mount", "--net", "--pid", "--fork", "--kill-child", "sh", "-c", INIT, "init"];
    this.#init = spawn("unshare", [...unshare, this.folder, release.chroot ?? "", registry.command], {
      stdio: ["pipe", "ignore", "pipe"],
      env: { PATH },
    });
    this.images = new ImageService(join(this.folder, "containerd.sock"));
  }

  /** containerd runs this script, which notes the call before it becomes the decoder. */
  #writeDecoder(args: readonly string[]): void {
    copyFileSync(ours.command, join(this.folder, "ctd-decoder"));
    const spool = ["--spool-dir", join(this.folder, "spool"), "--spool-memory", "1MiB"];
    const lines = [
      "#!/bin/busybox sh",
      `echo "$STREAM_PROCESSOR_MEDIATYPE" >>${this.folder}/calls`,
      `exec ${this.folder}/ctd-decoder "$@" ${[...spool, ...args].join(" ").replaceAll("{folder}", this.folder)}`,
      "",
    ];
    writeFileSync(join(this.folder, "decoder"), lines.join("\n"), { mode: 0o755 });
  }

  #processors(release: Release, options: NodeOptions): string {
    const [decoder, keys] = [join(this.folder, "decoder"), join(this.folder, "keys")];
    if (options.processors === "zstd apart")
      return zstdApart(release, decoder, ["--decryption-keys-path", keys]);
    const args = ["config", "--containerd", release.version, "--path", decoder, "--keys-path", keys];
    if (options.processors === "printed for tar") args.push("--returns", "tar");
    return execFileSync(ours.command, args, { encoding: "utf8" });
  }

  async #ready(): Promise<void> {
    const errors: Buffer[] = [];
    this.#init.stderr?.on("data", (chunk: Buffer) => errors.push(chunk));
    for (const deadline = Date.now() + START_MS; ; await sleep(50)) {
      if (this.#init.exitCode !== null) throw new Error(`the node ended: ${Buffer.concat(errors)}`);
      const isListening = this.#read("registry.log").includes("listening on");
      if (isListening && existsSync(join(this.folder, "containerd.sock")) && (await this.#answers())) return;
      if (Date.now() > deadline) throw new Error(`no node after ${START_MS} ms: ${this.log().slice(-2000)}`);
    }
  }

  async #answers(): Promise<boolean> {
    return this.images.ready().then(
      () => true,
      () => false,
    );
  }

  /** Ends everything that runs in the node, unmounts what it mounted and removes what it wrote. */
  async stop(): Promise<void> {
    this.images.close();
    if (this.#init.exitCode === null && this.#init.signalCode === null) {
      const ended = once(this.#init, "exit");
      this.#init.stdin?.end();
      await ended;
    }
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** A program of this machine, to be run in the node's network, where its registry is. */
  inside(peer: Peer): Peer {
    const { name, command, args } = peer;
    return { name, command: "nsenter", args: [...this.#target(), "--net", command, ...args] };
  }

  /** Runs a program of the node. @param path the PATH it runs with */
  execute(command: string, args: readonly string[], path = PATH): Promise<Finished> {
    const enter = [
      ...this.#target(),
      "--net",
      "--mount",
      "--pid",
      "busybox",
      "env",
      "-i",
      `PATH=${path}`,
      command,
    ];
    return run({ name: command, command: "nsenter", args: enter }, args);
  }

  /** Waits until containerd answers, such as after a restart. */
  async answers(): Promise<void> {
    for (const deadline = Date.now() + START_MS; !(await this.#answers()); await sleep(50))
      if (Date.now() > deadline)
        throw new Error(`no answer after ${START_MS} ms: ${this.log().slice(-2000)}`);
  }

  /** Calls the release's stock client, which passes no payload when it pulls. */
  ctr(...args: readonly string[]): Promise<Finished> {
    const address = ["--address", join(this.folder, "containerd.sock"), "--namespace", "k8s.io"];
    return this.execute("ctr", [...address, ...args]);
  }

  #target(): string[] {
    return ["--target", this.#read("pid").trim()];
  }

  /** Runs a pulled image in a container, with the command that the image is made for, and returns what it prints. */
  async runImage(reference: string): Promise<string> {
    // ctr itself loses what a container prints that ends before ctr has opened its pipes (containerd/containerd#770).
    const log = join(this.folder, `output-${randomUUID()}`);
    const { exit, stderr } = await this.runContainer(reference, "--log-uri", `file://${log}`);
    if (exit !== 0) throw new Error(`the container did not run: ${stderr}`);
    return readFileSync(log, "utf8");
  }

  /** Like `runImage`, with more of ctr's options, whatever comes of it. */
  runContainer(reference: string, ...options: readonly string[]): Promise<Finished> {
    const all = ["--rm", "--snapshotter", "native", ...options];
    return this.ctr("run", ...all, reference, `container-${randomUUID()}`);
  }

  /** The names of the snapshots there are. */
  async snapshots(): Promise<string[]> {
    const { stdout } = await this.ctr("snapshots", "--snapshotter", "native", "list");
    return stdout.toString().split("\n").slice(1).filter(Boolean);
  }

  /** Removes every image, and by garbage collection all that a pull left behind. */
  async clear(): Promise<void> {
    const { stdout } = await this.ctr("images", "list", "--quiet");
    const images = stdout.toString().split("\n").filter(Boolean);
    if (images.length > 0) await this.ctr("images", "remove", ...images);
    await this.collectGarbage();
  }

  /** Without this, what a failed pull unpacked stays until something else is removed. */
  async collectGarbage(): Promise<void> {
    await this.ctr("leases", "create", "--id", "garbage");
    await this.ctr("leases", "delete", "--sync", "garbage");
  }

  /** The decoders that run in the node now, by process ID. Their paths differ in a chroot; the file is the same. */
  decoders(): string[] {
    const decoder = identity(join(this.folder, "ctd-decoder"));
    return readdirSync("/proc").filter(
      (pid) => /^\d+$/.test(pid) && identity(`/proc/${pid}/exe`) === decoder,
    );
  }

  /** The media types the decoder was called for since the last time this was asked. */
  takeCalls(): string[] {
    const calls = this.#read("calls").split("\n").filter(Boolean);
    rmSync(join(this.folder, "calls"), { force: true });
    return calls;
  }

  log(): string {
    return this.#read("registry.log") + this.#read("containerd.log");
  }

  #read(name: string): string {
    const path = join(this.folder, name);
    return existsSync(path) ? readFileSync(path, "utf8") : "";
  }
}

/** Which file a path leads to, or undefined where it leads nowhere: the process ended, or is a kernel thread. */
function identity(path: string): string | undefined {
  try {
    const { dev, ino } = statSync(path);
    return `${dev}:${ino}`;
  } catch {
    return undefined;
  }
}

export interface Start extends NodeOptions {
  /** More arguments for the decoder, which has those for its keys and for spooling early. `{folder}` is the node's. */
  readonly args?: readonly string[];
}

function registryConfig(folder: string): string {
  return [
    "version: 0.1",
    "log: {level: info}",
    `storage: {filesystem: {rootdirectory: ${folder}/registry}, delete: {enabled: true}}`,
    `http: {addr: "${REGISTRY}"}`,
    "",
  ].join("\n");
}
