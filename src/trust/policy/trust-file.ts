import { DecoderError, describeSystemError } from "../../errors.ts";
import { readSmallFile } from "../../io/file.ts";
import * as LIMITS from "../../system-limits.ts";
import type { TrustFile } from "../requirement.ts";

/**
 * A file that a policy or the command line names: key, keyring, certificates, trusted root.
 * @throws DecoderError BAD_KEY
 */
export function readTrustFile(path: string): TrustFile {
  try {
    return { name: path, path, bytes: readSmallFile(path, LIMITS.trustFileBytes) };
  } catch (cause) {
    throw new DecoderError("BAD_KEY", `can't read ${path}: ${describeSystemError(cause)}`, { cause });
  }
}
