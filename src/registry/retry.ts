import { setTimeout as sleep } from "node:timers/promises";
import { DecoderError } from "../errors.ts";
import * as LIMITS from "../system-limits.ts";
import { isPassing } from "./connection-error.ts";
import type { HttpResponse } from "./http.ts";

/** Answers after which the same request may succeed: RFC 9110, RFC 6585, and 522 of a proxy whose server did not answer. */
export const PASSING: ReadonlySet<number> = new Set([408, 429, 500, 502, 503, 504, 522]);
const FIRST_WAIT_MS = 500;
/** Waits differ by a fifth, so that clients that failed together don't come back together. */
const SPREAD = 0.2;

interface RetryOptions {
  /** In all, the first one included. */
  readonly attempts: number;
  readonly signal: AbortSignal;
}

/** An answer, and how many times it was asked for. */
export interface Attempted {
  readonly response: HttpResponse;
  readonly attempts: number;
}

/**
 * Sends a request until it is answered for good, or as often as `options` allow. Retries can be nested: an error that outlasted
 * all attempts is no longer a passing one.
 * @throws what the last attempt threw
 */
export async function retrying(send: () => Promise<HttpResponse>, options: RetryOptions): Promise<Attempted> {
  for (let attempt = 1; ; attempt += 1) {
    const isLast = attempt >= options.attempts;
    try {
      const response = await send();
      const wait = PASSING.has(response.status) && !isLast ? waitAfter(response, attempt) : undefined;
      if (wait === undefined) return { response, attempts: attempt };
      await response.discard();
      await pause(wait, options.signal);
    } catch (error) {
      if (!isPassing(error)) throw error;
      if (isLast) throw withCount(error, attempt);
      await pause(backoff(attempt), options.signal);
    }
  }
}

/** An error that came at each of several attempts. */
export function withCount(error: unknown, times: number): unknown {
  if (!(error instanceof DecoderError) || times < 2) return error;
  const { code, message, hint } = error;
  return new DecoderError(code, `${message}, ${times} times`, {
    cause: error,
    ...(hint !== undefined && { hint }),
  });
}

/** The seconds that a server asks to wait (RFC 9110 §10.2.3), from now on, or undefined when it does not say. */
export function retryAfter(response: HttpResponse, now = Date.now()): number | undefined {
  const text = response.header("retry-after")?.trim() ?? "";
  if (/^\d{1,9}$/.test(text)) return Number(text);
  const date = /[A-Za-z]/.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(date) ? undefined : Math.max(0, Math.ceil((date - now) / 1000));
}

/** Milliseconds until the next attempt, or undefined when the server asks for more than anybody would wait. */
function waitAfter(response: HttpResponse, attempt: number): number | undefined {
  const asked = retryAfter(response);
  if (asked === undefined) return backoff(attempt);
  return asked * 1000 > LIMITS.retryAfterMs ? undefined : asked * 1000;
}

/** Milliseconds after an attempt that failed, the first being 1. */
export function backoff(attempt: number): number {
  const base = Math.min(FIRST_WAIT_MS * 2 ** (attempt - 1), LIMITS.retryWaitMs);
  return base * (1 - SPREAD + Math.random() * 2 * SPREAD);
}

/** @throws DecoderError INTERRUPTED */
export async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  try {
    await sleep(milliseconds, undefined, { signal });
  } catch (cause) {
    const reason: unknown = signal.reason;
    throw reason instanceof DecoderError ? reason : new DecoderError("INTERRUPTED", "interrupted", { cause });
  }
}
