import { DecoderError, describeSystemError } from "../errors.ts";
import { readSmallFile } from "../io/file.ts";
import { Input } from "../io/input.ts";
import { LIMITS } from "../limits.ts";
import { Secret } from "../secret.ts";
import { KeyCollector } from "./collector.ts";
import { PUBLIC_KEY } from "./jwk.ts";
import type { KeySet } from "./keyset.ts";
import { isLocked } from "./locked.ts";
import { privateHalfHint } from "./public-half.ts";

/** "key.pem", and optionally where its password is. */
const KEY_FILE = /^(?<file>.+?)(?::(?<source>pass|file|fd)=(?<value>[\s\S]*))?$/;
const PROVIDER = /^provider:(?<name>[^:]+)(?::(?<attributes>[\s\S]*))?$/;

/**
 * Adds keys that the user names one by one: unlike the files of a folder each of them must be usable.
 * @param specs "FILE", "FILE:pass=PASSWORD", "FILE:file=PASSWORD-FILE", "FILE:fd=NUMBER" or "provider:NAME[:ATTRIBUTES]"
 * @param base what was found elsewhere; it comes after
 * @throws DecoderError BAD_KEY
 */
export async function addNamedKeys(specs: readonly string[], base: KeySet): Promise<KeySet> {
  const collector = new KeyCollector(false);
  const parameters = new Map(base.parameters);
  for (const spec of specs) {
    const provider = PROVIDER.exec(spec)?.groups;
    if (provider === undefined) await addFile(collector, spec);
    else addProvider(parameters, provider["name"] ?? "", provider["attributes"] ?? "");
  }
  const named = collector.finish(parameters);
  return {
    keys: [...named.keys, ...base.keys],
    certificates: [...named.certificates, ...base.certificates],
    pgp: [...named.pgp, ...base.pgp],
    pkcs11: [...named.pkcs11, ...base.pkcs11],
    parameters,
    skipped: base.skipped,
  };
}

async function addFile(collector: KeyCollector, spec: string): Promise<void> {
  const { file = "", source, value = "" } = KEY_FILE.exec(spec)?.groups ?? {};
  const password = source === undefined ? [] : [new Secret(readPassword(source, value))];
  const used = await collector.add(read(file, "key"), file, password);
  if (used !== undefined) return;
  const reason = collector.skipped.at(-1)?.reason ?? "it is empty";
  throw new DecoderError("BAD_KEY", `the key ${file} can't be used: ${reason}`, {
    ...(reason === PUBLIC_KEY && { hint: privateHalfHint(file) }),
    ...(isLocked(reason) && {
      hint: `its password goes after the file's name: ${file}:file=PASSWORD-FILE, ${file}:fd=NUMBER or ${file}:pass=TEXT`,
    }),
  });
}

/** ocicrypt's form: a provider's name → what it is told, as the one value of a list. */
function addProvider(
  parameters: Map<string, readonly (Uint8Array<ArrayBuffer> | null)[]>,
  name: string,
  attributes: string,
): void {
  parameters.set(name, [...(parameters.get(name) ?? []), new Uint8Array(Buffer.from(attributes))]);
}

function readPassword(source: string, value: string): Uint8Array<ArrayBuffer> {
  if (source === "pass") return new Uint8Array(Buffer.from(value));
  if (source === "file") return withoutLineEnd(read(value, "password file"));
  if (!/^\d{1,5}$/.test(value))
    throw new DecoderError("BAD_KEY", `"${value}" is no file descriptor to read a password from`);
  const buffer = new Uint8Array(LIMITS.keyFileBytes);
  const length = new Input(Number(value), `file descriptor ${value}`).fill(buffer);
  return withoutLineEnd(buffer.subarray(0, length));
}

/** A copy without the line end that editors add; the original is zeroed. */
function withoutLineEnd(text: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  let end = text.length;
  if (text[end - 1] === 0x0a) end--;
  if (text[end - 1] === 0x0d) end--;
  const password = text.slice(0, end);
  text.fill(0);
  return password;
}

function read(path: string, what: string): Uint8Array<ArrayBuffer> {
  try {
    return readSmallFile(path, LIMITS.keyFileBytes);
  } catch (error) {
    throw new DecoderError("BAD_KEY", `can't read the ${what} ${path}: ${describeSystemError(error)}`, {
      cause: error,
    });
  }
}
