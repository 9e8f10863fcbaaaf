/**
 * What went wrong. The set is closed: tests, the audit log and the exit read the code, never the text.
 */
export type ErrorCode =
  | "USAGE" // the command line
  | "NO_PAYLOAD" // containerd passed no payload, and no descriptor could be found
  | "BAD_PAYLOAD" // fd 3 held something other than a payload
  | "BAD_DESCRIPTOR" // a malformed descriptor, digest, size or media type
  | "BAD_MEDIA_TYPE" // not an encrypted layer
  | "BAD_ANNOTATION" // a missing or undecodable annotation
  | "BAD_PACKET" // a malformed or refused wrapped key
  | "BAD_OPTIONS" // invalid layer options (cipher, hmac, nonce, symkey)
  | "BAD_KEY" // a key, certificate or password file
  | "BAD_RECIPIENT" // a recipient that the layer can't be encrypted for
  | "NO_KEY" // no key here opens the layer
  | "AUTHENTICATION" // the layer was changed after it was encrypted
  | "SIZE_MISMATCH" // the size differs from the descriptor's
  | "DIGEST_MISMATCH" // the digest differs from the descriptor's
  | "LIMIT" // a cap of limits.ts or system-limits.ts
  | "PROVIDER" // a key provider failed
  | "PKCS11" // a token, a module or their configuration failed
  | "REGISTRY" // a registry refused, broke off, or could not be reached
  | "UNAUTHORIZED" // a registry refused the credentials, or there were none
  | "CONTENT_STORE" // containerd's content store could not answer
  | "BAD_IMAGE" // a malformed image, layout or archive
  | "NOT_FOUND" // a source, tag, platform or layer that does not exist
  | "EXISTS" // a destination that already exists
  | "CONFIG" // a configuration file
  | "UNHEALTHY" // a check found something wrong
  | "RESTART_PENDING" // containerd still runs with its old configuration
  | "UNTRUSTED" // the required signatures are missing or invalid
  | "TENANTS" // a Pod, Secret or seal record failed, or a container may not use a layer
  | "AUDIT" // the audit log could not be written
  | "INTERRUPTED" // the user stopped the program before it changed anything
  | "UNCERTAIN" // a change was under way when the program was stopped, or when a registry no longer answered
  | "IO"; // reading or writing failed

export interface ErrorDetails {
  /** What to do about the error, printed on a line of its own. */
  readonly hint?: string;
  readonly cause?: unknown;
}

/** The only error thrown on purpose. Users see its message and hint, which never contain a secret, MAC or stack. */
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
  ECONNREFUSED: "the connection was refused",
  EEXIST: "it already exists",
  EISDIR: "it is a directory",
  ELOOP: "too many symbolic links",
  EMFILE: "too many open files",
  ENOEXEC: "it is not a program",
  ENOENT: "no such file or directory",
  ENOSPC: "no space left on the device",
  ENOTDIR: "a parent is not a directory",
  EPERM: "operation not permitted",
  EPIPE: "the reader went away",
  EROFS: "the file system is read-only",
};

/** Describes a system error in words, without the paths and stack that runtimes include. */
export function describeSystemError(error: unknown): string {
  const errno = errnoOf(error);
  if (errno !== undefined) return ERRNO_TEXT[errno] ?? errno;
  return error instanceof Error ? error.message : String(error);
}
