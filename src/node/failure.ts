import { DecoderError, describeSystemError, errnoOf } from "../errors.ts";

/** Ends the message of an error after which everything was undone. */
export const UNDONE = "; nothing was changed";

/** Ends the message of an error after which a part could not be undone. @param problem why */
export function notUndone(problem: string): string {
  return `; not everything was undone: ${problem}`;
}

/** An error after which a part could not be undone. @param problem why */
export function halfUndone(error: unknown, problem: string): DecoderError {
  const isOurs = error instanceof DecoderError;
  const message = isOurs ? error.message.replace(UNDONE, "") : describeSystemError(error);
  return new DecoderError(isOurs ? error.code : "IO", message + notUndone(problem), {
    cause: error,
    hint: "`ctd-decoder uninstall` undoes the rest when the cause is gone",
  });
}

/** Makes a system's error one that names its path, and adds what to do. @param ending ends its message */
export function asFailure(error: unknown, ending = ""): unknown {
  const isOurs = error instanceof DecoderError;
  const cause = isOurs ? error.cause : error;
  const errno = errnoOf(cause);
  if (errno === undefined || (isOurs && error.hint !== undefined)) return error;
  const path = cause instanceof Error && "path" in cause ? String(cause.path) : "the node";
  const message = isOurs ? error.message : `cannot change ${path}: ${describeSystemError(cause)}`;
  const hint = HINTS.get(errno);
  return new DecoderError(isOurs ? error.code : "IO", message + ending, {
    cause,
    ...(hint !== undefined && { hint }),
  });
}

const HINTS: ReadonlyMap<string, string> = new Map([
  ["EROFS", "if this is the program's place, name one that can be written with --program"],
  ["EACCES", "run it as root"],
  ["EPERM", "run it as root"],
]);
