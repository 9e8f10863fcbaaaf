import { accessSync, constants, statSync } from "node:fs";
import { dirname } from "node:path";
import { type RunningContainerd, runningContainerds } from "../containerd/process.ts";
import { PROGRAM_PATH } from "../containerd/stream-processors.ts";
import { type ContainerdVersion, parseContainerdVersion } from "../containerd/version.ts";
import { DecoderError, errnoOf } from "../errors.ts";
import type { Distribution } from "./distribution.ts";
import { NodeRoot } from "./node-root.ts";
import { runOnNode } from "./program.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** Where programs go if /usr is read-only. */
const WRITABLE_PROGRAM_PATH = "/opt/bin/ctd-decoder";

/** @throws DecoderError NOT_FOUND */
export function openRoot(root: string): NodeRoot {
  if (statSync(root, { throwIfNoEntry: false })?.isDirectory() !== true)
    throw new DecoderError("NOT_FOUND", `${root} is not a folder`);
  return new NodeRoot(root);
}

/** The containerd that runs in a node's file system. */
export function runningOn(node: NodeRoot): RunningContainerd | undefined {
  return runningContainerds().find(({ pid }) => node.isSameAs(`/proc/${pid}/root`));
}

/** Whether no containerd runs on this machine itself. Processes of a node that is mounted here may be invisible. */
export function isIdle(node: NodeRoot, running: RunningContainerd | undefined): boolean {
  return node.folder === "" && running === undefined;
}

/** The version of the node's containerd: of the running one, else of one that is installed. */
export async function findVersion(
  node: NodeRoot,
  { executables, isRendered }: Distribution,
  running: RunningContainerd | undefined,
  environment: Environment,
): Promise<ContainerdVersion> {
  // k3s is one program that acts by the name it is called: its own path prints k3s's version.
  const called = isRendered || running === undefined ? [] : [running.executable];
  for (const executable of [...called, ...executables]) {
    if (!node.isExecutable(executable)) continue;
    const { output } = await runOnNode(node, [executable, "--version"], environment);
    const printed = Buffer.from(output).toString();
    const version = printed.startsWith("containerd") ? parseContainerdVersion(printed) : undefined;
    if (version !== undefined) return version;
  }
  throw new DecoderError("NOT_FOUND", "found no containerd on the node that prints its version", {
    hint: "name it with --containerd, such as --containerd 2.1",
  });
}

/** /usr/local/bin, unless that is on a read-only file system. */
export function programPath(node: NodeRoot): string {
  let folder = dirname(PROGRAM_PATH);
  while (!node.exists(folder)) folder = dirname(folder);
  try {
    accessSync(node.follow(folder), constants.W_OK);
    return PROGRAM_PATH;
  } catch (error) {
    return errnoOf(error) === "EROFS" ? WRITABLE_PROGRAM_PATH : PROGRAM_PATH;
  }
}
