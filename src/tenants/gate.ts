import { PieceBudget } from "../budget.ts";
import { meaningOf, type NamedLayer, smallestFirst } from "../containerd/store/manifests.ts";
import { ContainerdMetadata, type UnpackedBlob } from "../containerd/store/snapshots.ts";
import { DecoderError } from "../errors.ts";
import type { KeySet } from "../keys/keyset.ts";
import type { SchemeSettings } from "../keywrap/scheme.ts";
import { type OpenedLayer, openLayer } from "../layer/open.ts";
import * as LIMITS from "../limits.ts";
import { printable } from "../text.ts";
import type { KubeApi } from "./api.ts";
import { chainsOf, type StartedContainer } from "./container-chains.ts";
import { parsePod } from "./pods.ts";
import { isProofOf, type SealRecord, type SealRecords } from "./seal-record.ts";
import { chainIdOf, isChainId, isPlainLayer, isTruthful, type SealedChain } from "./sealed-chain.ts";
import { destroyKeys, readTenantKeys } from "./secret-keys.ts";
import type { Verdicts } from "./verdicts.ts";

/** Layers that a refusal names. */
const SHOWN = 4;

/** Which container asks, in the words of the CRI. */
export interface ContainerRequest extends StartedContainer {
  readonly pod: { readonly namespace: string; readonly name: string; readonly uid: string };
}

interface GateSettings {
  /** Folder of the content store. */
  readonly store: string;
  readonly schemes: SchemeSettings;
  /** Whether layers that the node's own keys opened may be used by every Pod. */
  readonly sharesNodeLayers: boolean;
  /** Pod namespaces that are not asked: the cluster's own. */
  readonly exempt: ReadonlySet<string>;
}

interface GateParts {
  readonly records: SealRecords;
  readonly verdicts: Verdicts;
  /** Opens the connection only when a sealed layer makes it necessary. */
  readonly api: () => KubeApi;
}

export interface Allowed {
  /** Sealed chains below the container, nearest first. Empty when nothing below it is sealed. */
  readonly chains: readonly string[];
  /** Fingerprints or files of the keys that gave the proofs. */
  readonly keys: readonly string[];
}

/**
 * Decides whether a Pod may use every sealed layer below one of its containers and image volumes.
 * @throws DecoderError TENANTS when it may not, and whatever keeps the question from being answered: the caller refuses
 */
export async function admit(
  request: ContainerRequest,
  settings: GateSettings,
  parts: GateParts,
): Promise<Allowed> {
  const metadata = new ContainerdMetadata(settings.store);
  const sealed = sealedChains(request, metadata, parts.records);
  if (sealed.length === 0 || settings.exempt.has(request.pod.namespace)) return { chains: [], keys: [] };
  const chains = sealed.map(({ chain }) => chain);
  const open = sealed.filter(
    ({ chain, records }) => !isShared(records, settings) && !parts.verdicts.has(request.pod.uid, chain),
  );
  // Content that containerd unpacked from a plain blob is not secret: the blob itself reveals all of it.
  const secret = open.length === 0 ? [] : await withoutPublic(open, metadata.unpackedBlobs(), settings.store);
  if (secret.length === 0) return { chains, keys: [] };
  const keys = await podKeys(request, parts.api());
  try {
    const used: string[] = [];
    for (const it of secret) {
      used.push(await prove(it, keys, request, settings));
      parts.verdicts.add(request.pod.uid, it.chain);
    }
    return { chains, keys: [...new Set(used)] };
  } finally {
    destroyKeys(keys);
  }
}

function sealedChains(
  request: ContainerRequest,
  metadata: ContainerdMetadata,
  records: SealRecords,
): SealedChain[] {
  return [...chainsOf(request, metadata)]
    .filter(([chain]) => isChainId(chain))
    .map(([chain, parent]) => ({ chain, parent, records: records.of(chain) }))
    .filter(({ records }) => records.length > 0);
}

/** Layers that the node's keys opened are the node's to share. A second record makes the first one doubtful. */
function isShared(records: readonly SealRecord[], { sharesNodeLayers }: GateSettings): boolean {
  return sharesNodeLayers && records.length === 1 && records[0]?.owner === "node";
}

/** Removes chains that containerd itself unpacked from a plain blob, if that blob is still in the store. */
async function withoutPublic(
  sealed: readonly SealedChain[],
  blobs: readonly UnpackedBlob[],
  store: string,
): Promise<SealedChain[]> {
  const secret: SealedChain[] = [];
  for (const it of sealed) if (!(await isPublic(it, blobs, store))) secret.push(it);
  return secret;
}

async function isPublic(
  { chain, parent }: SealedChain,
  blobs: readonly UnpackedBlob[],
  store: string,
): Promise<boolean> {
  for (const { diffId, digest } of blobs) {
    if (chainIdOf(parent, diffId) === chain && (await isPlainLayer(store, digest))) return true;
  }
  return false;
}

/** Keys of the requesting Pod. The Pod is read by name, and must have the UID that containerd reports. */
async function podKeys({ pod }: ContainerRequest, api: KubeApi): Promise<KeySet> {
  const object = await api.pod(pod.namespace, pod.name);
  const found = object && parsePod(object);
  // A static Pod's UID in the API server is that of its mirror; its own is in an annotation.
  if (found === undefined || (found.uid !== pod.uid && found.configHash !== pod.uid)) {
    throw new DecoderError(
      "TENANTS",
      `the API server has no Pod ${pod.namespace}/${pod.name} with the UID ${printable(pod.uid, 64)}`,
    );
  }
  return (await readTenantKeys(api, [found])).keys;
}

/** @returns the key that gave the proof, for the audit. @throws DecoderError TENANTS without one */
async function prove(
  sealed: SealedChain,
  keys: KeySet,
  { pod }: ContainerRequest,
  settings: GateSettings,
): Promise<string> {
  const reasons: string[] = [];
  // The node's key providers open layers for whoever asks: they prove nothing about this Pod.
  const schemes: SchemeSettings = { ...settings.schemes, environment: {} };
  // Without the check of a record's truth, which takes as long as the layer is large.
  const budget = new PieceBudget({ cpuMs: LIMITS.unwrapCpuMs, clockMs: LIMITS.unwrapClockMs });
  const untrue = new Set<SealRecord>();
  const layers = [...new Set(sealed.records.map(({ layer }) => layer))];
  for (const descriptor of layers.flatMap((layer) => descriptorsOf(layer, settings.store))) {
    if (budget.isSpent) throw exhausted(pod, descriptor.digest);
    const end = budget.begin();
    let opened: OpenedLayer;
    try {
      opened = await openLayer(descriptor, keys, schemes);
    } catch (error) {
      if (!(error instanceof DecoderError)) throw error;
      reasons.push(error.message);
      continue;
    } finally {
      end();
    }
    try {
      const { options } = opened;
      const record = sealed.records.find(
        (it) => it.layer === descriptor.digest && isProofOf(it, options.key),
      );
      if (record === undefined || untrue.has(record)) continue;
      // Some of several records may be false: each comes from the Pod that first had the chain unpacked.
      if (sealed.records.length === 1 || (await isTruthful(sealed, record, options, settings.store)))
        return keyName(opened.by.key);
      untrue.add(record);
    } finally {
      opened.close();
    }
  }
  throw new DecoderError(
    "TENANTS",
    `Pod ${pod.namespace}/${pod.name} has no key for layer ${layers.slice(0, SHOWN).join(" or ")}`,
    {
      hint: "name a Secret of type ctd-decoder.dev/image-keys with the image's key in the Pod's imagePullSecrets",
      cause: reasons,
    },
  );
}

/**
 * Descriptors of a layer in all manifests, each once. Those with the shortest annotations come first. A stranger can have any
 * number of manifests that name the layer, and each wrapped key in them costs private-key operations.
 */
function descriptorsOf(layer: string, store: string): NamedLayer[] {
  const found = new Map(smallestFirst(store, layer).map((it) => [meaningOf(it), it]));
  return [...found].sort(([a], [b]) => a.length - b.length).map(([, it]) => it);
}

function exhausted({ namespace, name }: ContainerRequest["pod"], layer: string): DecoderError {
  return new DecoderError(
    "TENANTS",
    `no key of Pod ${namespace}/${name} opened layer ${printable(layer)} in the time that is allowed`,
    {
      hint: "many images on this node name the layer with wrapped keys of their own: remove those that are not needed",
    },
  );
}

function keyName(key: OpenedLayer["by"]["key"]): string {
  if (key === undefined) return "";
  return typeof key === "string" ? key : key.origin;
}
