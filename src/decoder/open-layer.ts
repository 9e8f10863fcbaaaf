import { Budget } from "../budget.ts";
import type { FoundLayer } from "../containerd/payload.ts";
import { DecoderError } from "../errors.ts";
import type { KeySet } from "../keys/keyset.ts";
import type { SchemeSettings } from "../keywrap/scheme.ts";
import { type OpenedLayer, openLayer } from "../layer/open.ts";
import { LIMITS } from "../limits.ts";

/** A descriptor of the layer whose wrapped key was opened. */
export interface Opening {
  readonly found: FoundLayer;
  readonly layer: OpenedLayer;
}

/**
 * Opens the layer by each descriptor that lets it, the likeliest first; a caller takes the next one only when the layer's
 * HMAC does not hold with the one before, and none of them outlives the caller's loop. Payloads have one descriptor. In
 * the content store several manifests may name a blob, and anyone may make one with a key of his own. The first that opens
 * is given as it is, for that costs nothing, when none opens beside it in its group; of all others only those with which
 * the blob's HMAC holds. One beyond the limits does not stop the others; each group gets the time of one.
 * @throws DecoderError what the only one threw, or one that tells of all, when none opens
 */
export async function* openings(
  groups: Iterable<readonly FoundLayer[]>,
  keys: KeySet,
  settings: SchemeSettings,
): AsyncGenerator<Opening> {
  const failures: DecoderError[] = [];
  const opened: Opening[] = [];
  const isRight = blobJudge();
  let isGiven = false;
  try {
    for (const group of groups) {
      const found = await openAll(group, keys, settings, failures);
      const isLone = opened.length === 0 && found.length === 1;
      opened.push(...found);
      for (const opening of found) {
        if (!isLone && !(await isRight(opening))) continue;
        isGiven = true;
        yield opening;
      }
    }
    const [first] = opened;
    if (first === undefined) throw noneOpened(failures);
    // None is known to be right: too large to be hashed, or gone. The HMAC over standard input tells, as always.
    if (!isGiven) yield first;
  } finally {
    for (const { layer } of opened) layer.close();
  }
}

async function openAll(
  group: readonly FoundLayer[],
  keys: KeySet,
  settings: SchemeSettings,
  failures: DecoderError[],
): Promise<Opening[]> {
  const opened: Opening[] = [];
  const budget = new Budget({ cpuMs: LIMITS.unwrapCpuMs, clockMs: LIMITS.unwrapClockMs });
  for (const found of group) {
    if (!budget.take()) break;
    try {
      opened.push({ found, layer: await openLayer(found.descriptor, keys, settings) });
    } catch (error) {
      if (!(error instanceof DecoderError)) throw error;
      failures.push(error);
    }
  }
  return opened;
}

/** Tells whether an opening's key is its blob's, as long as there is not too much to hash. */
function blobJudge(): (opening: Opening) => Promise<boolean> {
  let bytesLeft: number = LIMITS.candidatesHashBytes;
  return async ({ found: { blob }, layer }) => {
    if (blob === undefined || blob.file.size > bytesLeft) return false;
    bytesLeft -= blob.file.size;
    const { isAuthenticFile } = await import("../cipher/authenticator.ts");
    return isAuthenticFile(blob.file, layer.options);
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
