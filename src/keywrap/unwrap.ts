import { type Allowance, Budget } from "../budget.ts";
import { decodeBase64 } from "../encoding/base64.ts";
import type { Bytes } from "../encoding/bytes.ts";
import { DecoderError } from "../errors.ts";
import type { KeySet } from "../keys/keyset.ts";
import * as LIMITS from "../limits.ts";
import { KEYS_PREFIX } from "../spec/annotations.ts";
import type { RecordedAttempt } from "./report.ts";
import type { Opened, SchemeSettings, UnwrapContext } from "./scheme.ts";
import { SCHEMES, type SchemeUse, schemeOf } from "./schemes.ts";

/** A layer's private options, and which of its wrapped keys held them. */
export interface UnwrappedKey extends Opened {
  /** The annotation's suffix: "jwe", "provider.kms". */
  readonly scheme: string;
  /** Index of the annotation's packet that opened, from 0. */
  readonly packet: number;
}

/** The work that finding one layer's key may take. */
const LAYER_ALLOWANCE: Allowance = {
  attempts: LIMITS.unwrapAttempts,
  cpuMs: LIMITS.unwrapCpuMs,
  clockMs: LIMITS.unwrapClockMs,
};

type Annotations = Readonly<Record<string, string>>;

/**
 * Opens a layer's wrapped key: tries every packet of every scheme until one opens.
 * @throws DecoderError BAD_ANNOTATION when the layer has no wrapped key, BAD_PACKET when none is well-formed, LIMIT when the
 * budget is spent, and NO_KEY, which lists the attempts, when no key here fits
 */
export async function unwrapLayer(
  annotations: Annotations,
  keys: KeySet,
  settings: SchemeSettings,
): Promise<UnwrappedKey> {
  const attempts: RecordedAttempt[] = [];
  const budget = new Budget(LAYER_ALLOWANCE);
  for (const { row, name, suffix, value } of wrappedKeys(annotations)) {
    const scheme = await row.unwrap();
    for (const [packet, bytes] of packetsOf(suffix, value).entries()) {
      const context: UnwrapContext = {
        keys,
        settings,
        name,
        record: (attempt) => attempts.push({ scheme: suffix, packet, ...attempt }),
        spend: () => spend(budget),
      };
      try {
        if (bytes === null) throw new DecoderError("BAD_PACKET", "it is not valid base64");
        if (bytes.length > LIMITS.packetBytes)
          throw new DecoderError("BAD_PACKET", "it is larger than any wrapped key");
        const opened = await scheme.unwrap(bytes, context);
        if (opened !== null) return { ...opened, scheme: suffix, packet };
      } catch (error) {
        attempts.push({ scheme: suffix, packet, ...failure(error) });
      }
    }
  }
  const { unopened } = await import("./report.ts");
  throw await unopened(attempts, keys);
}

/** A broken packet does not stop the search. A spent budget does. */
function failure(error: unknown): Pick<RecordedAttempt, "outcome" | "error" | "hint"> {
  if (!(error instanceof DecoderError)) return { outcome: "it can't be read", error: "BAD_PACKET" };
  if (error.code === "LIMIT") throw error;
  return { outcome: error.message, error: error.code, hint: error.hint };
}

interface WrappedKeys extends SchemeUse {
  readonly suffix: string;
  readonly value: string;
}

/** The annotations with wrapped keys, in the order of trial. */
function wrappedKeys(annotations: Annotations): WrappedKeys[] {
  const found: WrappedKeys[] = [];
  const unknown: string[] = [];
  for (const [annotation, value] of Object.entries(annotations)) {
    if (!annotation.startsWith(KEYS_PREFIX)) continue;
    const suffix = annotation.slice(KEYS_PREFIX.length);
    const use = schemeOf(suffix);
    if (use === undefined) unknown.push(annotation);
    else found.push({ ...use, suffix, value });
  }
  if (found.length === 0) throw nothingWrapped(unknown);
  if (found.length > LIMITS.wrappedKeyAnnotations) {
    throw new DecoderError(
      "LIMIT",
      `the layer has ${found.length} annotations with wrapped keys, more than ${LIMITS.wrappedKeyAnnotations}`,
    );
  }
  return found.sort((a, b) => SCHEMES.indexOf(a.row) - SCHEMES.indexOf(b.row));
}

function nothingWrapped(unknown: readonly string[]): DecoderError {
  const known = `${KEYS_PREFIX}{${SCHEMES.map(({ name }) => name).join(",")}}`;
  const what =
    unknown.length === 0
      ? `it has no annotation ${known}`
      : `${unknown.slice(0, 4).join(", ")} belongs to no known scheme; known are ${known}`;
  return new DecoderError("BAD_ANNOTATION", `the layer has no wrapped key: ${what}`, {
    hint: "the image may have been encrypted by another tool, or its annotations were lost when it was copied",
  });
}

/**
 * Decodes the packets of an annotation; null for one that is not valid base64. Tools that add recipients append a packet
 * after a comma (ocicrypt encryption.go).
 * @throws DecoderError LIMIT
 */
export function packetsOf(suffix: string, value: string): (Bytes | null)[] {
  const annotation = `the annotation ${KEYS_PREFIX}${suffix}`;
  if (value.length > LIMITS.annotationBytes)
    throw new DecoderError("LIMIT", `${annotation} is longer than ${LIMITS.annotationBytes} bytes`);
  const texts = value.split(",", LIMITS.packets + 1);
  if (texts.length > LIMITS.packets)
    throw new DecoderError("LIMIT", `${annotation} has more than ${LIMITS.packets} packets`);
  const packets: (Bytes | null)[] = [];
  for (const text of texts) packets.push(text === "" ? null : decodeBase64(text));
  return packets;
}

/** @throws DecoderError LIMIT when the layer's budget is spent */
function spend(budget: Budget): void {
  if (budget.take()) return;
  const { attempts, clockMs, cpuMs } = budget.spent;
  const seconds = (milliseconds: number) => `${Math.round(milliseconds / 1000)} s`;
  throw new DecoderError(
    "LIMIT",
    `no key opened the layer in ${attempts - 1} attempts and ${seconds(clockMs)}, ${seconds(cpuMs)} of it processor time`,
    { hint: "keep fewer keys in the keys directory, or wrap the image for fewer recipients" },
  );
}
