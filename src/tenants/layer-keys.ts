import { ContainerdMetadata } from "../containerd/store/snapshots.ts";
import { DecoderError } from "../errors.ts";
import type { KeySet } from "../keys/keyset.ts";
import type { Secret } from "../secret.ts";
import { KubeApi } from "./api.ts";
import { findKubeconfig, readKubeconfig } from "./kubeconfig.ts";
import type { Pod } from "./pods.ts";
import { proofOf, type SealRecord, type SealRecords } from "./seal-record.ts";
import { readTenantKeys, SECRET_TYPE } from "./secret-keys.ts";

interface TenantKeySource {
  /** Folder of the content store. */
  readonly store: string;
  /** Kubeconfig of the kubelet; undefined looks at the usual places. */
  readonly kubeconfig: string | undefined;
  /** Undefined takes the name in the kubelet's certificate. */
  readonly nodeName: string | undefined;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** Keys for one layer, and the Pods whose Secrets they are from. */
interface LayerKeys {
  readonly keys: KeySet;
  /** "tenant-a/app", for the audit log. */
  readonly pods: readonly string[];
  readonly repositories: readonly string[];
}

/**
 * Finds the keys that Pods of this node bring for a layer: the layer's repositories, by containerd's own labels; Pods that
 * wait for an image from one of them; the Secrets that these Pods name. All candidates' keys are given: the snapshot is
 * shared by all callers, and the gate decides who may use it.
 * @throws DecoderError TENANTS where no Pod, Secret or answer is found: then the layer stays closed
 */
export async function keysForLayer(digest: string, source: TenantKeySource): Promise<LayerKeys> {
  const { repositories } = new ContainerdMetadata(source.store).unpacking(digest);
  if (repositories.length === 0)
    throw missing(`containerd does not say which repository layer ${digest} is from`);
  const api = new KubeApi(() => readKubeconfig(findKubeconfig(source.kubeconfig), source.environment));
  try {
    const pods = await waitingPods(api, source.nodeName ?? (await api.nodeName()), repositories);
    const { keys, secrets } = await readTenantKeys(api, pods);
    const names = pods.map(({ namespace, name }) => `${namespace}/${name}`);
    if (secrets.length === 0)
      throw missing(`${names.join(", ")}: no Secret of type ${SECRET_TYPE} in imagePullSecrets`);
    return { keys, pods: names, repositories };
  } finally {
    api.close();
  }
}

async function waitingPods(api: KubeApi, node: string, repositories: readonly string[]): Promise<Pod[]> {
  const pods = await api.podsOf(node);
  const waiting = pods.filter((pod) => pod.isWaiting && repositories.some((it) => pod.repositories.has(it)));
  if (waiting.length > 0) return waiting;
  throw missing(`no Pod of this node waits for an image from ${repositories.join(" or ")}`);
}

/** What a seal record says beside chain and proof. */
interface Sealing {
  readonly store: string;
  readonly digest: string;
  readonly owner: SealRecord["owner"];
}

interface Sealed {
  readonly chains: readonly string[];
  readonly repositories: readonly string[];
}

/**
 * Writes seal records for the chains that are being unpacked, before a byte of plaintext is released.
 * @returns what the records say
 * @throws DecoderError TENANTS if the chain is unknown, or a record can't be written; IO if the records stay locked
 */
export async function seal(
  records: SealRecords,
  layerKey: Secret,
  { store, digest, owner }: Sealing,
): Promise<Sealed> {
  const metadata = new ContainerdMetadata(store);
  const { chains, repositories } = metadata.unpacking(digest);
  if (chains.length === 0)
    throw missing(`containerd does not say which snapshot layer ${digest} is unpacked for`);
  const time = new Date().toISOString();
  await records.changing(async () => {
    records.prune(() => metadata.chains());
    for (const chain of chains) {
      records.discard(chain, (layer) => metadata.mayComplete(layer, chain));
      await records.write({
        layer: digest,
        chain,
        repositories,
        owner,
        proof: proofOf(layerKey, chain),
        time,
      });
    }
  });
  return { chains, repositories };
}

function missing(what: string): DecoderError {
  return new DecoderError("TENANTS", what, {
    hint: `a Pod brings its key in a Secret of type ${SECRET_TYPE} that its imagePullSecrets name`,
  });
}
