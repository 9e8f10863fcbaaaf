import { decodeBase64 } from "../encoding/base64.ts";
import { isObject, type JsonObject } from "../encoding/json.ts";
import { DecoderError } from "../errors.ts";
import { KeyCollector } from "../keys/collector.ts";
import type { KeySet } from "../keys/keyset.ts";
import * as LIMITS from "../limits.ts";
import { printable } from "../text.ts";
import type { KubeApi } from "./api.ts";
import type { Pod } from "./pods.ts";

/** Type of the Secrets that hold a tenant's private keys. */
export const SECRET_TYPE = "ctd-decoder.dev/image-keys";

const FILE_CHARS = 64;

/** Keys of Pods' Secrets, and which of the Pods' Secrets gave any. */
interface TenantKeys {
  readonly keys: KeySet;
  /** "tenant-a/app-key", in the order asked. */
  readonly secrets: readonly string[];
}

/**
 * Reads the keys in the Secrets that these Pods name. Secrets of other types are passed over: Pods name their registry
 * credentials in the same list.
 * @throws DecoderError TENANTS when the API server refuses, LIMIT for too many Secrets
 */
export async function readTenantKeys(api: KubeApi, pods: readonly Pod[]): Promise<TenantKeys> {
  const names = new Map<string, { namespace: string; name: string }>();
  for (const { namespace, secrets } of pods) {
    for (const name of secrets) names.set(`${namespace}/${name}`, { namespace, name });
  }
  if (names.size > LIMITS.tenantSecrets) {
    throw new DecoderError(
      "LIMIT",
      `Pods that wait for this image name more than ${LIMITS.tenantSecrets} Secrets`,
    );
  }
  const answers = await Promise.all(
    [...names].map(async ([id, { namespace, name }]) => [id, await api.secret(namespace, name)] as const),
  );
  const collector = new KeyCollector(false);
  const used: string[] = [];
  for (const [id, secret] of answers) {
    if (secret?.["type"] !== SECRET_TYPE) continue;
    used.push(id);
    await addSecret(collector, id, secret);
  }
  const keys = collector.finish(new Map());
  for (const { yaml } of keys.tokenKeys) yaml.destroy();
  // A token is the node's: a tenant's file must not make the node use it.
  return { keys: { ...keys, tokenKeys: [] }, secrets: used };
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
export function destroyKeys({ keys, keyrings, tokenKeys }: KeySet): void {
  for (const { pkcs8 } of keys) pkcs8.destroy();
  for (const { data } of keyrings) data.fill(0);
  for (const { yaml } of tokenKeys) yaml.destroy();
}
