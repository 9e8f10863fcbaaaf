import { statSync } from "node:fs";
import { join } from "node:path";
import { DecoderError, describeSystemError, errnoOf } from "../errors.ts";
import { readSmallFile } from "../io/file.ts";
import { LIMITS } from "../limits.ts";
import { Secret } from "../secret.ts";

/** Finds the password of a key file: the file of the same relative name below the passwords path. */
export type PasswordLookup = (keyName: string) => Secret[];

/** @throws DecoderError BAD_KEY when the path itself can't be used */
export function passwordLookup(path: string | undefined): PasswordLookup {
  if (path === undefined) return () => [];
  let directory: boolean;
  try {
    directory = statSync(path).isDirectory();
  } catch (error) {
    throw new DecoderError(
      "BAD_KEY",
      `can't read the key passwords path ${path}: ${describeSystemError(error)}`,
      {
        hint: "--key-passwords-path names a folder with one password file for each encrypted key, of the key file's name",
      },
    );
  }
  return (keyName) => {
    const password = readPassword(directory ? join(path, keyName) : path);
    return password ? [password] : [];
  };
}

/** The file's text without the line end that editors add. */
function readPassword(file: string): Secret | null {
  try {
    const raw = readSmallFile(file, LIMITS.keyFileBytes);
    let end = raw.length;
    if (raw[end - 1] === 0x0a) end--;
    if (raw[end - 1] === 0x0d) end--;
    const password = new Secret(raw.slice(0, end));
    raw.fill(0);
    return password;
  } catch (error) {
    if (errnoOf(error) === "ENOENT" || errnoOf(error) === "ENOTDIR") return null;
    throw new DecoderError("BAD_KEY", `can't read the password file ${file}: ${describeSystemError(error)}`);
  }
}
