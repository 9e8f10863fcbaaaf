import { Budget } from "../budget.ts";
import type { FoundLayer } from "../containerd/payload.ts";
import { DecoderError } from "../errors.ts";
import type { KeySet } from "../keys/keyset.ts";
import type { SchemeSettings } from "../keywrap/scheme.ts";
import { openLayer } from "../layer/open.ts";
import * as LIMITS from "../limits.ts";
import type { Judge, Opening } from "./judge.ts";

/**
 * Opens the layer by its descriptors, and yields the ones to decrypt with. Take the next one only if the layer's HMAC did not
 * hold with the one before. All of them are closed when the loop ends.
 *
 * A payload has one descriptor. In the content store several manifests may name one blob. A stranger can wrap a key of his own
 * for this node and compute the HMAC of a public ciphertext under it, so an HMAC that holds does not make a key the right one.
 * A group that opens with one key yields that one at once, which costs nothing. Of several keys, those count under which the
 * blob's HMAC holds: one is yielded, and two are refused.
 * @throws DecoderError the error of the only descriptor, or one that lists all of them, when none opens; CONTENT_STORE or
 * LIMIT when several open and none can be preferred
 */
export async function* openings(
  groups: Iterable<readonly FoundLayer[]>,
  keys: KeySet,
  settings: SchemeSettings,
): AsyncGenerator<Opening> {
  const failures: DecoderError[] = [];
  const opened: Opening[] = [];
  let judge: Judge | undefined;
  let isGiven = false;
  try {
    for (const group of groups) {
      const before = opened.length;
      opened.push(...(await openAll(group, keys, settings, failures)));
      let right = opened[before];
      if (before > 0 || opened.length > 1) {
        judge ??= new (await import("./judge.ts")).Judge(opened.slice(0, before));
        right = judge.choose(opened.slice(before));
      }
      if (right === undefined) continue;
      isGiven = true;
      yield right;
    }
    const [first] = opened;
    if (first === undefined) throw noneOpened(failures);
    // No HMAC holds over the blob, so none will hold over standard input. That refusal says why.
    if (!isGiven) yield first;
  } finally {
    for (const { layer } of opened) layer.close();
  }
}

/** Opens those of a group that can be opened, within the budget of one layer. */
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

function noneOpened(failures: readonly DecoderError[]): DecoderError {
  const [first, ...others] = failures;
  if (first === undefined) throw new Error("bug: there was no descriptor to open");
  if (others.length === 0) return first;
  const messages = new Set(failures.map(({ message }) => message));
  return new DecoderError(
    first.code,
    `none of ${failures.length} manifests that name this layer opens it: ${[...messages].join("; ")}`,
    first.hint === undefined ? {} : { hint: first.hint },
  );
}
