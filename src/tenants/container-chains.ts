import { realpathSync } from "node:fs";
import type { ContainerdMetadata } from "../containerd/store/snapshots.ts";
import { DecoderError } from "../errors.ts";

/** A container as its runtime is asked to start it. */
export interface StartedContainer {
  /** containerd's namespace; the CRI's is "k8s.io". */
  readonly namespace: string;
  readonly containerId: string;
  /** Sources of its mounts. That of an image volume is the key of a snapshot, or a folder below it. */
  readonly mounts: readonly string[];
}

/**
 * Chains below a container's root and its image volumes, each with the chain below it.
 * @throws DecoderError TENANTS for a container without a snapshot, CONTENT_STORE
 */
export function chainsOf(
  { namespace, containerId, mounts }: StartedContainer,
  metadata: ContainerdMetadata,
): ReadonlyMap<string, string | undefined> {
  const root = metadata.chainsBelow(namespace, containerId);
  if (root === undefined) {
    throw new DecoderError("TENANTS", `containerd has no snapshot of container ${containerId}`, {
      hint: "the gate serves containers that containerd's CRI creates",
    });
  }
  const volumes = mountedVolumes(mounts, metadata.pathKeys(namespace));
  const lists = [root, ...volumes.map((key) => metadata.chainsBelow(namespace, key) ?? [])];
  return new Map(lists.flatMap((chains) => chains.map((chain, i) => [chain, chains[i + 1]] as const)));
}

/**
 * Keys of the snapshots that mounts show. With `subPath` containerd mounts a folder below the key, and it resolves links in
 * a source's path, but not in the key.
 */
function mountedVolumes(mounts: readonly string[], keys: readonly string[]): string[] {
  if (keys.length === 0) return [];
  const sources = mounts.flatMap(writings);
  return keys.filter((key) => {
    const folders = writings(key);
    return sources.some((source) => folders.some((folder) => isWithin(source, folder)));
  });
}

/** A path as written, and with its links resolved. */
function writings(path: string): string[] {
  try {
    return [path, realpathSync(path)];
  } catch {
    // runc can't mount what does not exist.
    return [path];
  }
}

function isWithin(path: string, folder: string): boolean {
  return path === folder || path.startsWith(`${folder}/`);
}
