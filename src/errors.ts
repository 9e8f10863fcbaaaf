/**
 * What went wrong, as a closed set: tests, the audit log and the exit read the code, never the text.
 */
export type ErrorCode =
  | "USAGE" // the command line
  | "NO_PAYLOAD" // containerd passed none and none could be found
  | "BAD_PAYLOAD" // fd 3 held something else than a payload
  | "BAD_DESCRIPTOR" // the descriptor, or its digest, size or media type
  | "BAD_MEDIA_TYPE" // not an encrypted layer
  | "BAD_ANNOTATION" // an annotation that is missing or can't be decoded
  | "BAD_PACKET" // a wrapped key that is malformed or not allowed
  | "BAD_OPTIONS" // layer options (cipher, hmac, nonce, symkey) that can't be right
  | "BAD_KEY" // a key, certificate or password file
  | "BAD_RECIPIENT" // a recipient that can't be encrypted for
  | "NO_KEY" // no key here opens the layer
  | "AUTHENTICATION" // the layer is not what was encrypted
  | "SIZE_MISMATCH" // more or fewer bytes than the descriptor says
  | "DIGEST_MISMATCH" // other bytes than the descriptor says
  | "LIMIT" // a cap of limits.ts
  | "PROVIDER" // a key provider failed
  | "PKCS11" // a token, a module or their configuration failed
  | "REGISTRY" // a registry refused, broke off, or could not be reached
  | "UNAUTHORIZED" // a registry wants credentials, other ones, or rights that these don't give
  | "CONTENT_STORE" // containerd's content store could not answer
  | "BAD_IMAGE" // an image, layout or archive that is malformed
  | "NOT_FOUND" // a source, tag, platform or layer that isn't there
  | "EXISTS" // a destination that is there already
  | "CONFIG" // a configuration file
  | "UNHEALTHY" // a check found something wrong
  | "RESTART_PENDING" // containerd still runs with its old configuration
  | "UNTRUSTED" // no signature that the policy, key or identity demands
  | "TENANTS" // Pods and Secrets, a seal record, or a container that may not use a layer
  | "AUDIT" // the audit log could not be written
  | "INTERRUPTED" // by the user, before anything was changed
  | "IO"; // reading or writing failed

export interface ErrorDetails {
  /** What to do about it: printed as a line of its own. */
  readonly hint?: string;
  readonly cause?: unknown;
}

/** The only error that is thrown on purpose. Its message and hint are shown to people: no secret, no MAC, no stack. */
export class DecoderError extends Error {
  override readonly name = "DecoderError";
  readonly code: ErrorCode;
  readonly hint: string | undefined;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, "cause" in details ? { cause: details.cause } : undefined);
    this.code = code;
    this.hint = details.hint;
  }
}

/** The `errno` name of a system error ("ENOENT"), or undefined for anything else. */
export function errnoOf(error: unknown): string | undefined {
  if (error instanceof Error && "code" in error && typeof error.code === "string") return error.code;
  return undefined;
}

const ERRNO_TEXT: Readonly<Record<string, string>> = {
  E2BIG: "its arguments are too long",
  EACCES: "permission denied",
  EEXIST: "it exists already",
  EISDIR: "it is a directory",
  ELOOP: "too many symbolic links",
  EMFILE: "too many open files",
  ENOEXEC: "it is no program",
  ENOENT: "no such file or directory",
  ENOSPC: "no space left on the device",
  ENOTDIR: "a part of the path is no directory",
  EPERM: "operation not permitted",
  EPIPE: "the reader went away",
  EROFS: "the file system is read-only",
};

/** A system error in words, without the paths and stack that runtimes put in. */
export function describeSystemError(error: unknown): string {
  const errno = errnoOf(error);
  if (errno !== undefined) return ERRNO_TEXT[errno] ?? errno;
  return error instanceof Error ? error.message : String(error);
}
