import { type FoundLayer, type Handover, parsePayload } from "../containerd/payload.ts";
import { readPayloadBytes } from "../containerd/payload-channel.ts";
import type { Input } from "../io/input.ts";
import type { Output } from "../io/output.ts";
import type { KeySet } from "../keys/keyset.ts";
import { loadKeys } from "../keys/load.ts";
import type { SchemeSettings } from "../keywrap/scheme.ts";
import { AUDIT_VARIABLE, startAudit } from "./audit.ts";
import type { DecoderOptions } from "./flags.ts";
import type { Opening } from "./judge.ts";
import { openings } from "./openings.ts";
import { releaseOpened } from "./release.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** The layer's media type. containerd sets it for every stream processor, so a call that has it comes from containerd. */
export const MEDIA_TYPE_VARIABLE = "STREAM_PROCESSOR_MEDIATYPE";

/** One decoder call: what containerd passes → keys → the layer's key → verified plaintext. */
export async function decode(
  options: DecoderOptions,
  environment: Environment,
  input: Input,
  output: Output,
): Promise<void> {
  startCryptoThread();
  const { keys: keyOptions, store, providers, release, audit: auditOptions, tenants } = options;
  const { policyFile } = options.trust;
  const audit = await startAudit(auditOptions, release.mode, environment[AUDIT_VARIABLE]);
  const seen: FoundLayer[] = [];
  let layers: Handover["layers"] = [];
  try {
    const handover = await receive(input, store, environment[MEDIA_TYPE_VARIABLE], seen);
    layers = handover.layers;
    const trusted =
      policyFile === undefined ? layers : await trustedLayers(layers, policyFile, options, environment);
    const keys = await loadKeys(keyOptions, handover.parameters);
    const { providerTimeoutMs, providerLegacyDc, verbose } = providers;
    const settings = { environment, providerTimeoutMs, providerLegacyDc, verbose };
    const isShared = Object.keys(tenants).length > 0;
    const opened = isShared
      ? await openingsOfTenants(trusted, keys, { options, settings })
      : openings(trusted, keys, settings);
    const streams = { input, output, mayReadBlobs: store.useContentStore };
    await releaseOpened(opened, streams, release, audit);
  } catch (error) {
    const layer = () => refusedLayer(layers, seen);
    audit.refused(error, layer);
    if (auditOptions.journal && environment[MEDIA_TYPE_VARIABLE])
      (await import("./journal.ts")).reportRefusal(error, layer()?.descriptor);
    throw error;
  }
}

/** WebCrypto's thread starts while the payload and the keys are read. Fewer than 65 bytes would be hashed without it. */
export function startCryptoThread(): void {
  crypto.subtle.digest("SHA-256", new Uint8Array(65)).catch(() => undefined);
}

/** Returns the layer that a refusal names. Keys are loaded before the content store is searched, so it may still be unknown. */
function refusedLayer(layers: Handover["layers"], seen: readonly FoundLayer[]): FoundLayer | undefined {
  if (seen.length > 0) return seen[0];
  try {
    for (const [layer] of layers) return layer;
  } catch {
    // The caller reports the first error.
  }
  return undefined;
}

/** Passes the layers through and notes them, so that a refusal can name the first one. */
function* noting(groups: Handover["layers"], seen: FoundLayer[]): Handover["layers"] {
  for (const group of groups) {
    seen.push(...group);
    yield group;
  }
}

/** With `--trust-policy`, only what an accepted image names. No key is read before. */
async function trustedLayers(
  layers: Handover["layers"],
  policyFile: string,
  { store: { contentStore }, audit: { trustCriAnnotations } }: DecoderOptions,
  environment: Environment,
): Promise<Handover["layers"]> {
  const { acceptedLayers } = await import("./accepted-layers.ts");
  return acceptedLayers(layers, { policyFile, contentStore, trustCriAnnotations, environment });
}

/** In a cluster of several tenants: openings by the node's keys and by theirs. */
async function openingsOfTenants(
  layers: Iterable<readonly FoundLayer[]>,
  keys: KeySet,
  {
    options: { tenants, store },
    settings,
  }: { readonly options: DecoderOptions; readonly settings: SchemeSettings },
): Promise<AsyncGenerator<Opening>> {
  const { tenantOpenings } = await import("../tenants/tenancy.ts");
  const context = { contentStore: store.contentStore, environment: settings.environment };
  return tenantOpenings(layers, keys, (groups, set) => openings(groups, set, settings), {
    ...tenants,
    ...context,
  });
}

/**
 * The layer's descriptor, from file descriptor 3 or else from containerd's content store.
 * @param seen gets the layers that are looked at
 */
async function receive(
  input: Input,
  store: DecoderOptions["store"],
  mediaType: string | undefined,
  seen: FoundLayer[],
): Promise<Handover> {
  const payload = await readPayloadBytes();
  if (payload !== null && payload.length > 0) {
    const { descriptor, parameters } = parsePayload(payload);
    const layer = { descriptor };
    seen.push(layer);
    return { layers: [[layer]], parameters };
  }
  const { searchStore } = await import("../containerd/store/lookup.ts");
  const { layers, parameters } = await searchStore(input, store, mediaType);
  return { layers: noting(layers, seen), parameters };
}
