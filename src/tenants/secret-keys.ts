import { randomInt } from "node:crypto";
import { decodeBase64 } from "../encoding/base64.ts";
import { isObject, type JsonObject } from "../encoding/json.ts";
import { KeyCollector } from "../keys/collector.ts";
import type { KeySet } from "../keys/keyset.ts";
import * as LIMITS from "../limits.ts";
import * as SYSTEM_LIMITS from "../system-limits.ts";
import { printable } from "../text.ts";
import type { KubeApi } from "./api.ts";
import type { Pod } from "./pods.ts";

/** Type of the Secrets that hold a tenant's private keys. */
export const SECRET_TYPE = "ctd-decoder.dev/image-keys";

const FILE_CHARS = 64;

/** Keys of Pods' Secrets, and which of the Pods' Secrets gave any. */
export interface TenantKeys {
  readonly keys: KeySet;
  /** "tenant-a/app-key", in the order asked. */
  readonly secrets: readonly string[];
}

/**
 * Reads the keys in the Secrets that these Pods name. Secrets of other types are passed over: Pods name their registry
 * credentials in the same list.
 * @throws DecoderError TENANTS when no namespace's Secrets can be read
 */
export async function readTenantKeys(api: KubeApi, pods: readonly Pod[]): Promise<TenantKeys> {
  const namespaces = shared(secretsByNamespace(pods));
  const outcomes = await Promise.allSettled(
    [...namespaces].map(([namespace, names]) => readNamespace(api, namespace, names)),
  );
  const tenants = outcomes.flatMap((it) => (it.status === "fulfilled" ? it.value : []));
  // What a tenant writes into its own Pod must not keep the others' keys away.
  const failed = outcomes.find((it) => it.status === "rejected");
  if (tenants.length === 0 && failed !== undefined) throw failed.reason;
  const sets = tenants.map(({ keys }) => keys);
  return {
    keys: {
      keys: sets.flatMap(({ keys }) => keys),
      certificates: sets.flatMap(({ certificates }) => certificates),
      keyrings: sets.flatMap(({ keyrings }) => keyrings),
      tokenKeys: [],
      parameters: new Map(),
      skipped: sets.flatMap(({ skipped }) => skipped),
    },
    secrets: tenants.flatMap(({ secrets }) => secrets),
  };
}

/** The Secrets that Pods name. One namespace's share is bounded: it must not use up what others need. */
function secretsByNamespace(pods: readonly Pod[]): Map<string, string[]> {
  const named = new Map<string, Set<string>>();
  for (const { namespace, secrets } of pods) {
    named.set(namespace, new Set([...(named.get(namespace) ?? []), ...secrets]));
  }
  return new Map(
    [...named].map(([namespace, names]) => [
      namespace,
      [...names].sort().slice(0, SYSTEM_LIMITS.namespaceSecrets),
    ]),
  );
}

/**
 * Limits the Secrets to what one layer may read: the first of each namespace, then the second, and so on. Otherwise a tenant
 * with many namespaces could deny the layer to everyone. The order is random, so that a later pull reads other Secrets.
 */
function shared(named: ReadonlyMap<string, readonly string[]>): Map<string, string[]> {
  const namespaces = [...named].map((it) => ({ it, order: randomInt(2 ** 32) }));
  const shuffled = namespaces.sort((a, b) => a.order - b.order).map(({ it }) => it);
  const rounds = Array.from({ length: SYSTEM_LIMITS.namespaceSecrets }, (_, round) =>
    shuffled.flatMap(([namespace, names]) => {
      const name = names[round];
      return name === undefined ? [] : [{ namespace, name }];
    }),
  );
  const kept = Map.groupBy(rounds.flat().slice(0, SYSTEM_LIMITS.tenantSecrets), ({ namespace }) => namespace);
  return new Map([...kept].map(([namespace, all]) => [namespace, all.map(({ name }) => name)]));
}

async function readNamespace(api: KubeApi, namespace: string, names: readonly string[]): Promise<TenantKeys> {
  const answers = await Promise.all(
    names.map(async (name) => [name, await api.secret(namespace, name)] as const),
  );
  const collector = new KeyCollector(false);
  const used: string[] = [];
  for (const [name, secret] of answers) {
    if (secret?.["type"] !== SECRET_TYPE) continue;
    used.push(`${namespace}/${name}`);
    await addSecret(collector, `${namespace}/${name}`, secret);
  }
  const { keys, certificates, keyrings, tokenKeys, parameters, skipped } = collector.finish(new Map());
  // Each key costs private-key operations, of which one layer gets a bounded number. A token is the node's: a tenant's file must
  // not make the node use it.
  const most = SYSTEM_LIMITS.namespaceKeys;
  destroyKeys({ keys: keys.slice(most), keyrings: keyrings.slice(most), tokenKeys });
  return {
    keys: {
      keys: keys.slice(0, most),
      certificates,
      keyrings: keyrings.slice(0, most),
      tokenKeys: [],
      parameters,
      skipped,
    },
    secrets: used,
  };
}

async function addSecret(collector: KeyCollector, id: string, { data }: JsonObject): Promise<void> {
  for (const [file, value] of Object.entries(isObject(data) ? data : {})) {
    const origin = `Secret ${id}: ${printable(file, FILE_CHARS)}`;
    const bytes = typeof value === "string" ? decodeBase64(value) : null;
    if (bytes === null) collector.skip({ origin, reason: "not valid base64" });
    else if (bytes.length > LIMITS.keyFileBytes)
      collector.skip({ origin, reason: `larger than ${LIMITS.keyFileBytes} bytes` });
    else await collector.add(bytes, origin, []);
  }
}

/** Zeroes the private keys. */
export function destroyKeys({
  keys,
  keyrings,
  tokenKeys,
}: Pick<KeySet, "keys" | "keyrings" | "tokenKeys">): void {
  for (const { pkcs8 } of keys) pkcs8.destroy();
  for (const { data } of keyrings) data.fill(0);
  for (const { yaml } of tokenKeys) yaml.destroy();
}
