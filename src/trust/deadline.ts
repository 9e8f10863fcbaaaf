import { DecoderError } from "../errors.ts";

/**
 * Runs work that asks others, and stops it at a deadline.
 * @throws DecoderError REGISTRY when the time is up, however the work ends then
 */
export async function withDeadline<T>(
  milliseconds: number,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  const expired = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    const error = new DecoderError("REGISTRY", `time is up: no answer within ${milliseconds / 1000} s`);
    controller.abort(error);
    expired.reject(error);
  }, milliseconds);
  try {
    return await Promise.race([work(controller.signal), expired.promise]);
  } finally {
    clearTimeout(timer);
  }
}
