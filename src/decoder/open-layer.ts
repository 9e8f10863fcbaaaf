import { Budget } from "../budget.ts";
import { type LayerOptions, parseLayerOptions, parsePublicOptions } from "../cipher/options.ts";
import type { Candidate, LayerDescriptor } from "../containerd/payload.ts";
import { DecoderError } from "../errors.ts";
import type { KeySet } from "../keys/keyset.ts";
import type { SchemeSettings } from "../keywrap/scheme.ts";
import { type OpenedLayer as Unwrapped, unwrapLayer } from "../keywrap/unwrap.ts";
import { LIMITS } from "../limits.ts";
import { parseLayerType } from "../spec/media-types.ts";

export interface OpenedLayer {
  readonly descriptor: LayerDescriptor;
  readonly layer: LayerOptions;
  /** Which wrapped key opened, and with what. */
  readonly by: Pick<Unwrapped, "scheme" | "recipient" | "key">;
}

type Opened = OpenedLayer & Candidate;

/**
 * Opens the layer by each descriptor that lets it, the likeliest first; a caller takes the next one only when the layer's
 * HMAC does not hold with the one before, and none of them outlives the caller's loop. Payloads have one descriptor. In
 * the content store several manifests may name a blob, and anyone may make one with a key of his own. The first that opens
 * is given as it is, for that costs nothing, when none opens beside it in its group; of all others only those with which
 * the blob's HMAC holds. One beyond the limits does not stop the others; each group gets the time of one.
 * @throws DecoderError what the only one threw, or one that tells of all, when none opens
 */
export async function* openings(
  groups: Iterable<readonly Candidate[]>,
  keys: KeySet,
  settings: SchemeSettings,
): AsyncGenerator<Opened> {
  const failures: DecoderError[] = [];
  const opened: Opened[] = [];
  const isRight = blobJudge();
  let isGiven = false;
  try {
    for (const group of groups) {
      const found = await openAll(group, keys, settings, failures);
      const isLone = opened.length === 0 && found.length === 1;
      opened.push(...found);
      for (const candidate of found) {
        if (!isLone && !(await isRight(candidate))) continue;
        isGiven = true;
        yield candidate;
      }
    }
    const [first] = opened;
    if (first === undefined) throw noneOpened(failures);
    // None is known to be right: too large to be hashed, or gone. The HMAC over standard input tells, as always.
    if (!isGiven) yield first;
  } finally {
    for (const { layer } of opened) layer.key.destroy();
  }
}

async function openAll(
  group: readonly Candidate[],
  keys: KeySet,
  settings: SchemeSettings,
  failures: DecoderError[],
): Promise<Opened[]> {
  const opened: Opened[] = [];
  const budget = new Budget({ cpuMs: LIMITS.unwrapCpuMs, clockMs: LIMITS.unwrapClockMs });
  for (const candidate of group) {
    if (!budget.take()) break;
    try {
      opened.push({ ...candidate, ...(await open(candidate.descriptor, keys, settings)) });
    } catch (error) {
      if (!(error instanceof DecoderError)) throw error;
      failures.push(error);
    }
  }
  return opened;
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

/** Tells whether a candidate's key is its blob's, as long as there is not too much to hash. */
function blobJudge(): (candidate: Opened) => Promise<boolean> {
  let bytesLeft: number = LIMITS.candidatesHashBytes;
  return async ({ blob, layer }) => {
    if (blob === undefined || blob.file.size > bytesLeft) return false;
    bytesLeft -= blob.file.size;
    const { isAuthenticFile } = await import("../cipher/file-hmac.ts");
    return isAuthenticFile(blob.file, layer);
  };
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
