import { existsSync } from "node:fs";
import { type Bytes, withoutByteOrderMark } from "../encoding/bytes.ts";
import { DecoderError, describeSystemError } from "../errors.ts";
import { readNamedFile } from "../io/named-file.ts";
import * as LIMITS from "../limits.ts";

/** A recipient that the user named: "jwe" and "node.pem.pub" of `jwe:node.pem.pub`. */
export interface NamedRecipient {
  readonly scheme: string;
  readonly file: string;
}

/** `keygen` writes the public half of a key to a file with this suffix. */
const PUBLIC_SUFFIX = ".pub";

/** Reads a recipient's file, which may be a pipe or "-". @throws DecoderError BAD_RECIPIENT */
export async function readRecipientFile(recipient: NamedRecipient): Promise<Bytes> {
  let data: Bytes;
  try {
    data = await readNamedFile(recipient.file, LIMITS.keyFileBytes);
  } catch (error) {
    throw badRecipient(recipient, `can't be read: ${describeSystemError(error)}`);
  }
  if (data.length === 0) throw badRecipient(recipient, "is empty");
  // A binary key never begins with these three bytes: as an OpenPGP packet they have a tag that is not assigned.
  return withoutByteOrderMark(data);
}

export function badRecipient({ scheme, file }: NamedRecipient, what: string, hint?: string): DecoderError {
  return new DecoderError(
    "BAD_RECIPIENT",
    `the recipient ${scheme}:${file} ${what}`,
    hint === undefined ? {} : { hint },
  );
}

/** The error for a private key in the place of its public half. */
export function isPrivate(recipient: NamedRecipient): DecoderError {
  const { scheme, file } = recipient;
  const publicFile = `${file}${PUBLIC_SUFFIX}`;
  const hint = existsSync(publicFile)
    ? `name its public half: --recipient ${scheme}:${publicFile}`
    : "name its public half (of a PEM key: openssl pkey -in KEY -pubout), and keep the private one where images are decrypted";
  return badRecipient(recipient, "is a private key", hint);
}

/** The hint for a public key in the place of its private half. */
export function privateHalfHint(file: string): string {
  const privateFile = file.endsWith(PUBLIC_SUFFIX) ? file.slice(0, -PUBLIC_SUFFIX.length) : "";
  const where = existsSync(privateFile) ? `: --key ${privateFile}` : "";
  return `decryption needs the private key that belongs to it${where}`;
}
