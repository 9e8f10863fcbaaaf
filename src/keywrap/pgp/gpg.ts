import { DecoderError, describeSystemError, errnoOf } from "../../errors.ts";
import * as LIMITS from "../../limits.ts";
import { type CommandResult, runCommand } from "../../process/command.ts";
import type { WrapSettings } from "../scheme.ts";

/** gpg searches for a bare address anywhere in a user ID. One in angle brackets must be the whole address. */
const ADDRESS = /^[^\s<>@]+@[^\s<>@]+$/;
const ERROR_BYTES = 1024;
const AS_FILE = "the public key can also be given as a file: gpg --export NAME > FILE";

/**
 * Exports the keys that a name selects in the gpg keyring: an e-mail address, a fingerprint, a key ID or a part of a user ID.
 * @returns one or more public keys, binary
 * @throws DecoderError BAD_RECIPIENT
 */
export async function exportFromGpg(name: string, settings: WrapSettings): Promise<Uint8Array<ArrayBuffer>> {
  const { gpgHomedir } = settings;
  const result = await runCommand(
    "gpg",
    [
      "--batch",
      "--no-tty",
      ...(gpgHomedir === undefined ? [] : ["--homedir", gpgHomedir]),
      "--export-options",
      "export-minimal",
      "--export",
      "--",
      ADDRESS.test(name) ? `<${name}>` : name,
    ],
    {
      input: new Uint8Array(),
      environment: { ...settings.environment, LC_ALL: "C" },
      timeoutMs: LIMITS.gpgTimeoutMs,
      outputBytes: LIMITS.keyFileBytes,
      errorBytes: ERROR_BYTES,
    },
  );
  const problem = problemOf(result);
  if (problem !== undefined)
    throw new DecoderError("BAD_RECIPIENT", `the recipient pgp:${name} ${problem}`, { hint: AS_FILE });
  return result.output;
}

function problemOf({ end, output, errors }: CommandResult): string | undefined {
  const notFound = "is not a file, and";
  switch (end.kind) {
    case "not started":
      if (errnoOf(end.cause) === "ENOENT")
        return `${notFound} gpg, which might know that name, is not installed`;
      return `${notFound} gpg can't be run: ${describeSystemError(end.cause)}`;
    case "deadline":
      return `${notFound} gpg did not answer within ${LIMITS.gpgTimeoutMs / 1000} s`;
    case "overflow":
      return "selects too many keys of the gpg keyring";
    case "signal":
      return `${notFound} gpg was killed by ${end.signal}`;
    case "exit":
      if (end.code !== 0) return `${notFound} gpg failed: ${firstLine(errors)}`;
      return output.length === 0 ? `${notFound} the gpg keyring has no public key of that name` : undefined;
  }
}

function firstLine(errors: Uint8Array): string {
  return Buffer.from(errors)
    .toString("utf8")
    .split("\n", 1)
    .join("")
    .replace(/^gpg: /, "");
}
