import { type LayerOptions, parseLayerOptions, parsePublicOptions } from "./cipher/options.ts";
import { DecoderError } from "./errors.ts";
import { cpuMilliseconds } from "./io/cpu.ts";
import type { KeySet } from "./keys/keyset.ts";
import type { SchemeSettings } from "./keywrap/scheme.ts";
import { type OpenedLayer as Unwrapped, unwrapLayer } from "./keywrap/unwrap.ts";
import { LIMITS } from "./limits.ts";
import type { Candidate, LayerDescriptor } from "./payload/payload.ts";
import { parseLayerType } from "./spec/media-types.ts";

export interface OpenedLayer {
  readonly descriptor: LayerDescriptor;
  readonly layer: LayerOptions;
  /** Which wrapped key opened, and with what. */
  readonly by: Pick<Unwrapped, "scheme" | "recipient" | "key">;
}

/**
 * Opens the layer by the first descriptor that lets it. Payloads have one; in the content store, several manifests may
 * name a blob, each with recipients of its own, and the next group of them is only looked for when no other opens. Anyone
 * may make such a manifest: one beyond the limits does not stop the others, and all together get the time of one.
 * @throws DecoderError what the only one threw, or one that tells of all
 */
export async function openOneOf(
  groups: Iterable<readonly Candidate[]>,
  keys: KeySet,
  settings: SchemeSettings,
): Promise<OpenedLayer> {
  const failures: DecoderError[] = [];
  const start = performance.now();
  // All processor time of this process: next to nothing was spent before.
  const isSpent = () =>
    cpuMilliseconds() > LIMITS.unwrapCpuMs || performance.now() - start > LIMITS.unwrapClockMs;
  for (const group of groups) {
    const opened: (OpenedLayer & Candidate)[] = [];
    for (const candidate of group) {
      try {
        opened.push({ ...candidate, ...(await open(candidate.descriptor, keys, settings)) });
      } catch (error) {
        if (!(error instanceof DecoderError)) throw error;
        failures.push(error);
        if (isSpent()) break;
      }
    }
    const [first] = opened;
    if (first !== undefined) return opened.length === 1 ? first : await authenticOf(opened, first);
    if (isSpent()) break;
  }
  throw noneOpened(failures);
}

async function open(
  { mediaType, annotations }: LayerDescriptor,
  keys: KeySet,
  settings: SchemeSettings,
): Promise<Pick<OpenedLayer, "layer" | "by">> {
  if (!parseLayerType(mediaType)?.encrypted) {
    throw new DecoderError(
      "BAD_MEDIA_TYPE",
      `the media type ${JSON.stringify(mediaType.slice(0, 128))} is not that of an encrypted layer`,
      {
        hint: "the stream processor's accepts must list encrypted media types only, ending in +encrypted",
      },
    );
  }
  const publicOptions = parsePublicOptions(annotations);
  const { options, ...by } = await unwrapLayer(annotations, keys, settings);
  return { layer: parseLayerOptions(publicOptions, options), by };
}

/** Anyone may make a manifest that names another's blob, with a key of his own for it: the right key's HMAC holds. */
async function authenticOf(
  opened: readonly (OpenedLayer & Candidate)[],
  otherwise: OpenedLayer,
): Promise<OpenedLayer> {
  const { isAuthenticFile } = await import("./cipher/file-hmac.ts");
  const right = opened.find(({ blob, layer }) => blob !== undefined && isAuthenticFile(blob, layer));
  const chosen = right ?? otherwise;
  for (const { layer } of opened) if (layer !== chosen.layer) layer.key.destroy();
  return chosen;
}

function noneOpened(failures: readonly DecoderError[]): DecoderError {
  const [first, ...others] = failures;
  if (first === undefined) throw new Error("bug: there was no descriptor to open");
  if (others.length === 0) return first;
  const messages = new Set(failures.map(({ message }) => message));
  return new DecoderError(
    first.code,
    `none of ${failures.length} manifests that name this layer lets it be opened: ${[...messages].join("; ")}`,
    first.hint === undefined ? {} : { hint: first.hint },
  );
}
