import { statSync } from "node:fs";
import { join } from "node:path";
import type { Bytes } from "../encoding/bytes.ts";
import { DecoderError, describeSystemError, errnoOf } from "../errors.ts";
import { readSmallFile } from "../io/file.ts";
import * as LIMITS from "../limits.ts";
import { Secret } from "../secret.ts";

/** Finds the password of a key file: the file with the same relative name below the passwords path. */
type PasswordLookup = (keyName: string) => Secret[];

/** @throws DecoderError BAD_KEY when the path itself can't be used */
export function passwordLookup(path: string | undefined): PasswordLookup {
  if (path === undefined) return () => [];
  let isDirectory: boolean;
  try {
    isDirectory = statSync(path).isDirectory();
  } catch (error) {
    throw new DecoderError(
      "BAD_KEY",
      `can't read the key passwords path ${path}: ${describeSystemError(error)}`,
      {
        hint: "--key-passwords-path names a folder with one password file for each encrypted key, with the key file's name",
      },
    );
  }
  return (keyName) => {
    const password = readPassword(isDirectory ? join(path, keyName) : path);
    return password ? [password] : [];
  };
}

/** Null for a missing file. @throws DecoderError BAD_KEY */
function readPassword(file: string): Secret | null {
  try {
    return passwordIn(readSmallFile(file, LIMITS.keyFileBytes));
  } catch (error) {
    if (errnoOf(error) === "ENOENT" || errnoOf(error) === "ENOTDIR") return null;
    throw new DecoderError("BAD_KEY", `can't read the password file ${file}: ${describeSystemError(error)}`);
  }
}

/** A file's text without the line end that editors add. The text is zeroed. */
export function passwordIn(text: Bytes): Secret {
  let end = text.length;
  if (text[end - 1] === 0x0a) end--;
  if (text[end - 1] === 0x0d) end--;
  const password = new Secret(text.slice(0, end));
  text.fill(0);
  return password;
}
