import { type Allowance, Budget } from "../budget.ts";
import { decodeBase64 } from "../encoding/base64.ts";
import { DecoderError } from "../errors.ts";
import type { KeySet } from "../keys/keyset.ts";
import { LIMITS } from "../limits.ts";
import { KEYS_PREFIX, PROVIDER_PREFIX } from "../spec/annotations.ts";
import { type RecordedAttempt, unopened } from "./report.ts";
import type { Opened, SchemeSettings, UnwrapContext } from "./scheme.ts";
import { SCHEMES, type SchemeRow, schemeOf } from "./schemes.ts";

/** A layer's private options, and which of its wrapped keys held them. */
export interface UnwrappedKey extends Opened {
  /** The annotation's suffix: "jwe", "provider.kms". */
  readonly scheme: string;
  /** Which of the annotation's packets opened, from 0. */
  readonly packet: number;
}

/** What finding one layer's key may take. */
export const LAYER_ALLOWANCE: Allowance = {
  attempts: LIMITS.unwrapAttempts,
  cpuMs: LIMITS.unwrapCpuMs,
  clockMs: LIMITS.unwrapClockMs,
};

type Annotations = Readonly<Record<string, string>>;

/**
 * Opens a layer's wrapped key: every scheme that the layer has, every packet of it, until one opens.
 * @throws DecoderError BAD_ANNOTATION when the layer has no wrapped key, BAD_PACKET when none is well-formed, LIMIT when
 * there is too much to try, and NO_KEY, listing what was tried, when no key here fits
 */
export async function unwrapLayer(
  annotations: Annotations,
  keys: KeySet,
  settings: SchemeSettings,
): Promise<UnwrappedKey> {
  const attempts: RecordedAttempt[] = [];
  const budget = new Budget(LAYER_ALLOWANCE);
  for (const { row, suffix, value } of wrappedKeys(annotations)) {
    const scheme = await row.unwrap();
    for (const [packet, bytes] of packetsOf(suffix, value).entries()) {
      const context: UnwrapContext = {
        keys,
        settings,
        providerName: row.name === "provider" ? suffix.slice(PROVIDER_PREFIX.length) : "",
        record: (attempt) => attempts.push({ scheme: suffix, packet, ...attempt }),
        spend: () => spend(budget),
      };
      try {
        if (bytes === null) throw new DecoderError("BAD_PACKET", "it is no base64");
        if (bytes.length > LIMITS.packetBytes)
          throw new DecoderError("BAD_PACKET", "it is larger than any wrapped key");
        const opened = await scheme.unwrap(bytes, context);
        if (opened !== null) return { ...opened, scheme: suffix, packet };
      } catch (error) {
        attempts.push({ scheme: suffix, packet, ...failure(error) });
      }
    }
  }
  throw await unopened(attempts, keys, settings);
}

/** One packet's failure is no reason not to try the next; running out of budget is. */
function failure(error: unknown): Pick<RecordedAttempt, "outcome" | "error" | "hint"> {
  if (!(error instanceof DecoderError)) return { outcome: "it can't be read", error: "BAD_PACKET" };
  if (error.code === "LIMIT") throw error;
  return { outcome: error.message, error: error.code, hint: error.hint };
}

/** The annotations with wrapped keys, in the registry's order of trial. */
function wrappedKeys(annotations: Annotations): { row: SchemeRow; suffix: string; value: string }[] {
  const found: { row: SchemeRow; suffix: string; value: string }[] = [];
  const unknown: string[] = [];
  for (const [name, value] of Object.entries(annotations)) {
    if (!name.startsWith(KEYS_PREFIX)) continue;
    const suffix = name.slice(KEYS_PREFIX.length);
    const row = schemeOf(suffix);
    if (row === undefined) unknown.push(name);
    else found.push({ row, suffix, value });
  }
  if (found.length === 0) {
    const what =
      unknown.length === 0
        ? "it has no annotation"
        : `${unknown.slice(0, 4).join(", ")} is of no known scheme; known are`;
    throw new DecoderError(
      "BAD_ANNOTATION",
      `the layer has no wrapped key: ${what} ${KEYS_PREFIX}{${SCHEMES.map((s) => s.name).join(",")}}`,
      {
        hint: "the image may have been encrypted by another tool, or its annotations were lost when it was copied",
      },
    );
  }
  if (found.length > LIMITS.wrappedKeyAnnotations) {
    throw new DecoderError(
      "LIMIT",
      `the layer has ${found.length} annotations with wrapped keys, more than ${LIMITS.wrappedKeyAnnotations}`,
    );
  }
  return found.sort((a, b) => SCHEMES.indexOf(a.row) - SCHEMES.indexOf(b.row));
}

/** Each tool that adds recipients appends a packet, in base64, after a comma (ocicrypt encryption.go). null: no base64. */
export function packetsOf(suffix: string, value: string): (Uint8Array<ArrayBuffer> | null)[] {
  if (value.length > LIMITS.annotationBytes) {
    throw new DecoderError(
      "LIMIT",
      `the annotation ${KEYS_PREFIX}${suffix} is longer than ${LIMITS.annotationBytes} bytes`,
    );
  }
  const texts = value.split(",", LIMITS.packets + 1);
  if (texts.length > LIMITS.packets) {
    throw new DecoderError(
      "LIMIT",
      `the annotation ${KEYS_PREFIX}${suffix} has more than ${LIMITS.packets} packets`,
    );
  }
  return texts.map((text) => (text === "" ? null : decodeBase64(text)));
}

/** @throws DecoderError LIMIT when the layer has had its share */
function spend(budget: Budget): void {
  if (budget.take()) return;
  const { attempts, clockMs, cpuMs } = budget.spent;
  const seconds = (milliseconds: number) => `${Math.round(milliseconds / 1000)} s`;
  throw new DecoderError(
    "LIMIT",
    `no key opened the layer in ${attempts - 1} attempts and ${seconds(clockMs)}, ${seconds(cpuMs)} of them processor time`,
    { hint: "keep fewer keys in the keys directory, or wrap the image for fewer recipients" },
  );
}
