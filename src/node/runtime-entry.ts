import { basename, dirname, join } from "node:path";
import * as LIMITS from "../system-limits.ts";
import type { NodeRoot } from "./node-root.ts";

/** A script that containerd calls in place of an OCI runtime: it runs the tenants' gate before a container starts. */
interface RuntimeEntry {
  /** Path of this program on the node. */
  readonly gate: string;
  /** Path of the OCI runtime on the node. */
  readonly runtime: string;
}

const RUNTIME_LINE = /^runtime='((?:[^']|'\\'')*)'$/m;
/** Folders of bundles, by version of containerd's task plugin. Their file `runtime` names the runtime of a container. */
const BUNDLES = "/run/containerd/io.containerd.runtime.v2.task";

/** Path of a runtime's entry: beside this program, named after the runtime. */
export function entryPath(program: string, runtime: string): string {
  return join(dirname(program), `${basename(runtime)}-gate`);
}

/** deploy/runc-gate is this script for the usual paths. */
export function renderEntry({ gate, runtime }: RuntimeEntry): string {
  return `#!/bin/sh
# Runs the tenants' gate before an OCI runtime. Set this script as the runtime's \`BinaryName\` in containerd's configuration.
# The gate runs before a container starts. Every other call goes directly to the runtime. If the gate fails, the container
# does not start.
gate=${shellQuote(gate)}
runtime=${shellQuote(runtime)}
for argument; do
  case $argument in
    create | run | restore)
      "$gate" runtime-gate "$@" || exit 1
      break
      ;;
  esac
done
exec "$runtime" "$@"
`;
}

/** An entry without a gate, for containers that were started through it: their shims go on calling it. */
export function renderPassage(runtime: string): string {
  return `#!/bin/sh
# What is left of a gate, for containers that still run. It can be removed when they have ended.
runtime=${shellQuote(runtime)}
exec "$runtime" "$@"
`;
}

/** The runtime behind an entry on a node; undefined if the file is not an entry. */
export function runtimeBehind(node: NodeRoot, path: string): string | undefined {
  const [, quoted] = RUNTIME_LINE.exec(textOf(node, path) ?? "") ?? [];
  return quoted?.replaceAll("'\\''", "'");
}

/** Whether an entry still runs the gate. */
export function isGate(node: NodeRoot, path: string): boolean {
  return runtimeBehind(node, path) !== undefined && textOf(node, path)?.includes("runtime-gate") === true;
}

/** Containers on a node whose shim calls a runtime by this path, as "namespace/ID". */
export function containersThrough(node: NodeRoot, path: string): string[] {
  return bundles(node).flatMap(([id, runtime]) => (runtime === path ? id : []));
}

/** Containers on a node, as "namespace/ID", with the runtime that their shims call. */
export function bundles(node: NodeRoot): (readonly [id: string, runtime: string])[] {
  return node.list(BUNDLES).flatMap((namespace) =>
    node.list(`${BUNDLES}/${namespace}`).flatMap((id) => {
      const runtime = textOf(node, `${BUNDLES}/${namespace}/${id}/runtime`);
      return runtime === undefined ? [] : [[`${namespace}/${id}`, runtime] as const];
    }),
  );
}

/** The text of a script or of a bundle's file; undefined if it cannot be read or is too large for one. */
function textOf(node: NodeRoot, path: string): string | undefined {
  try {
    return Buffer.from(node.read(path, LIMITS.scriptBytes)).toString();
  } catch {
    return undefined;
  }
}

function shellQuote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
