import { closeSync } from "node:fs";
import { DecoderError, describeSystemError, errnoOf } from "../../errors.ts";
import { Digester } from "../../io/digester.ts";
import { openRegularFile, readPieces, readSmallFile } from "../../io/file.ts";

/** @throws DecoderError NOT_FOUND, IO for anything but a regular file that can be read */
export function checkRegular(path: string): void {
  try {
    closeSync(openRegularFile(path).fd);
  } catch (cause) {
    throw unreadable(path, cause);
  }
}

/** A small file whole. @throws DecoderError NOT_FOUND, IO */
export function readWhole(path: string, most: number): Uint8Array<ArrayBuffer> {
  try {
    return readSmallFile(path, most);
  } catch (cause) {
    throw unreadable(path, cause);
  }
}

/** `sha256:<hex>` or `sha512:<hex>` of a regular file of any size. @throws DecoderError NOT_FOUND, IO */
export function digestFile(path: string, algorithm: "sha256" | "sha512"): string {
  const digester = new Digester(algorithm);
  try {
    readPieces(path, (piece) => digester.update(piece));
  } catch (cause) {
    throw unreadable(path, cause);
  }
  return digester.digest();
}

function unreadable(path: string, cause: unknown): DecoderError {
  const code = errnoOf(cause) === "ENOENT" || errnoOf(cause) === "ENOTDIR" ? "NOT_FOUND" : "IO";
  return new DecoderError(code, `can't read ${path}: ${describeSystemError(cause)}`, { cause });
}
