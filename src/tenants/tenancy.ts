import type { FoundLayer } from "../containerd/payload.ts";
import { storeOf } from "../containerd/store/place.ts";
import { ContainerdMetadata } from "../containerd/store/snapshots.ts";
import { DecoderError } from "../errors.ts";
import type { KeySet } from "../keys/keyset.ts";
import type { OpenedLayer } from "../layer/open.ts";
import { keysForLayer, seal } from "./layer-keys.ts";
import { type SealRecord, SealRecords } from "./seal-record.ts";
import { destroyKeys } from "./secret-keys.ts";

export interface TenantOptions {
  /** "kubelet": keys come from Secrets that Pods of this node name, read with the kubelet's credentials. */
  readonly tenantKeys?: "kubelet";
  readonly kubeconfig?: string;
  readonly nodeName?: string;
  /** File that binds keys of the node's folder to repositories; undefined binds none. */
  readonly keyScopes?: string;
  /** Folder for seal records; undefined writes none. */
  readonly sealedDirectory?: string;
}

interface TenancyContext {
  /** As --content-store names it; undefined takes the store whose blobs containerd has open. */
  readonly contentStore: string | undefined;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

interface Opening {
  readonly found: FoundLayer;
  readonly layer: OpenedLayer;
}

/** Opens a layer's descriptors with a set of keys: the decoder's own way. */
type Openings<T extends Opening> = (
  groups: Iterable<readonly FoundLayer[]>,
  keys: KeySet,
) => AsyncGenerator<T>;

/**
 * Opens a layer with the node's keys, or else with those of tenants, and writes a seal record before each opening is
 * given out. The gate therefore has a record of every released layer.
 * @throws DecoderError TENANTS, and what `open` throws
 */
export async function* tenantOpenings<T extends Opening>(
  groups: Iterable<readonly FoundLayer[]>,
  nodeKeys: KeySet,
  open: Openings<T>,
  options: TenantOptions & TenancyContext,
): AsyncGenerator<T> {
  const seen: (readonly FoundLayer[])[] = [];
  let unopened: string;
  try {
    const [scoped, all] = await scopedKeys(groups, nodeKeys, options);
    yield* sealed(open(remembering(all, seen), scoped), { owner: "node" }, options);
    return;
  } catch (error) {
    const canGoOn =
      error instanceof DecoderError && error.code === "NO_KEY" && options.tenantKeys !== undefined;
    if (!canGoOn) throw error;
    unopened = error.message;
  }
  const digest = digestOf(seen.flat()[0]);
  const { environment, kubeconfig, nodeName } = options;
  const store = await storeOf(digest, options.contentStore);
  const { keys, pods, repositories } = await keysForLayer(digest, {
    store,
    kubeconfig,
    nodeName,
    environment,
  }).catch((error: unknown) => {
    throw afterNodeKeys(error, unopened);
  });
  try {
    yield* sealed(open(seen, keys), { owner: "tenant", pods, repositories }, options);
  } finally {
    destroyKeys(keys);
  }
}

/** Adds why the node's own keys did not open the layer. They are tried before the tenants' keys. */
function afterNodeKeys(error: unknown, unopened: string): unknown {
  if (!(error instanceof DecoderError) || error.hint !== undefined) return error;
  return new DecoderError(error.code, error.message, {
    cause: error.cause,
    hint: `the node's own keys do not help: ${unopened}`,
  });
}

/** The node's keys that may open this layer. Groups are read on only where a scope asks for the layer's repositories. */
async function scopedKeys(
  groups: Iterable<readonly FoundLayer[]>,
  keys: KeySet,
  { keyScopes, contentStore }: TenantOptions & TenancyContext,
): Promise<[KeySet, Iterable<readonly FoundLayer[]>]> {
  if (keyScopes === undefined) return [keys, groups];
  const all = [...groups];
  const digest = digestOf(all.flat()[0]);
  const { keysInScope, readScopes } = await import("./scopes.ts");
  const { repositories } = new ContainerdMetadata(await storeOf(digest, contentStore)).unpacking(digest);
  return [keysInScope(keys, readScopes(keyScopes), repositories), all];
}

/** Whose keys open a layer, and for which Pods. */
interface Origin {
  readonly owner: SealRecord["owner"];
  readonly pods?: readonly string[];
  readonly repositories?: readonly string[];
}

async function* sealed<T extends Opening>(
  openings: AsyncGenerator<T>,
  { owner, ...origin }: Origin,
  { sealedDirectory, contentStore }: TenantOptions & TenancyContext,
): AsyncGenerator<T> {
  for await (const opening of openings) {
    let tenancy: FoundLayer["tenancy"] = origin;
    if (sealedDirectory !== undefined) {
      const digest = digestOf(opening.found);
      const store = await storeOf(digest, contentStore);
      const records = new SealRecords(sealedDirectory);
      tenancy = { ...origin, ...(await seal(records, opening.layer.options.key, { store, digest, owner })) };
    }
    yield { ...opening, found: { ...opening.found, tenancy } };
  }
}

function* remembering<T>(items: Iterable<T>, seen: T[]): Generator<T> {
  for (const item of items) {
    seen.push(item);
    yield item;
  }
}

function digestOf(found: FoundLayer | undefined): string {
  const digest = found?.descriptor.digest;
  if (digest !== undefined) return digest;
  throw new DecoderError("TENANTS", "the layer's descriptor has no digest, so its tenant can't be found");
}
