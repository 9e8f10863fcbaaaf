import { DecoderError, describeSystemError, errnoOf } from "../errors.ts";

/** An error that came before the first change, or after all changes were undone. Its message says so. */
export function unchanged(error: unknown): unknown {
  const failure = asFailure(error);
  if (!(failure instanceof DecoderError)) return failure;
  const { code, message, hint, cause } = failure;
  return new DecoderError(code, `${message}; nothing was changed`, {
    cause,
    ...(hint !== undefined && { hint }),
  });
}

/** Runs checks that come before the first change. @throws what they throw, as {@link unchanged} */
export async function beforeChanges<T>(checks: () => Promise<T>): Promise<T> {
  try {
    return await checks();
  } catch (error) {
    throw unchanged(error);
  }
}

/** Ends the message of an error after which a part could not be undone. @param problem why */
export function notUndone(problem: string): string {
  return `; not everything was undone: ${problem}`;
}

/** An error after which a part could not be undone. @param problem why */
export function halfUndone(error: unknown, problem: string): DecoderError {
  const isOurs = error instanceof DecoderError;
  const message = isOurs ? error.message : describeSystemError(error);
  return new DecoderError(isOurs ? error.code : "IO", message + notUndone(problem), {
    cause: error,
    hint: "`ctd-decoder uninstall` undoes the rest when the cause is gone",
  });
}

/** Marks an error that must be shown even after a signal, because something was changed. */
export function uncertain(error: unknown): unknown {
  if (!(error instanceof DecoderError)) return error;
  const { message, hint, cause } = error;
  return new DecoderError("UNCERTAIN", message, { cause, ...(hint !== undefined && { hint }) });
}

/** Makes a system's error one that names its path, and adds what to do. */
export function asFailure(error: unknown): unknown {
  const isOurs = error instanceof DecoderError;
  const cause = isOurs ? error.cause : error;
  const errno = errnoOf(cause);
  if (errno === undefined || (isOurs && error.hint !== undefined)) return error;
  const path = cause instanceof Error && "path" in cause ? String(cause.path) : "the node";
  const message = isOurs ? error.message : `cannot change ${path}: ${describeSystemError(cause)}`;
  const hint = HINTS.get(errno);
  return new DecoderError(isOurs ? error.code : "IO", message, {
    cause,
    ...(hint !== undefined && { hint }),
  });
}

const HINTS: ReadonlyMap<string, string> = new Map([
  ["EROFS", "if this is the program's place, name one that can be written with --program"],
  ["EACCES", "run it as root"],
  ["EPERM", "run it as root"],
]);
