import { existsSync } from "node:fs";
import type { Bytes } from "../encoding/bytes.ts";
import { DecoderError, describeSystemError } from "../errors.ts";
import { Input } from "../io/input.ts";
import { readNamedFile } from "../io/named-file.ts";
import * as LIMITS from "../limits.ts";
import { Secret } from "../secret.ts";
import { KeyCollector } from "./collector.ts";
import type { KeySet, Unusable } from "./keyset.ts";
import { passwordIn } from "./passwords.ts";
import { PUBLIC_KEY } from "./private-key.ts";
import { privateHalfHint } from "./recipient.ts";

/** "key.pem", optionally with the place of its password. */
const KEY_FILE = /^(?<file>.+?)(?::(?<source>pass|file|fd)=(?<value>[\s\S]*))?$/;
const PROVIDER = /^provider:(?<name>[^:]+)(?::(?<attributes>[\s\S]*))?$/;

/** Asks the user for the password of a file, perhaps again. Undefined without a terminal. */
type AskPassword = (file: string, wasWrong: boolean) => Promise<Secret | undefined>;

const PASSWORD_TRIES = 3;

/** The label of the PEM block that cosign and `keygen --for signing` write. */
const SIGNING_KEY = /"ENCRYPTED (?:SIGSTORE|COSIGN) PRIVATE KEY"/;
const SIGNING_HINT =
  "it is a signing key of cosign, which can't decrypt layers: name the private key of one of the image's recipients";

/**
 * Adds keys that the user names one by one. Unlike the files of a folder, each must be usable.
 * @param specs "FILE", "FILE:pass=PASSWORD", "FILE:file=PASSWORD-FILE", "FILE:fd=NUMBER" or "provider:NAME[:ATTRIBUTES]"
 * @param base keys found elsewhere, which come after the named ones
 * @param askPassword called for an encrypted key whose password is not named
 * @throws DecoderError BAD_KEY
 */
export async function addNamedKeys(
  specs: readonly string[],
  base: KeySet,
  askPassword: AskPassword = async () => undefined,
): Promise<KeySet> {
  const parameters = new Map(base.parameters);
  const named: KeyCollector[] = [];
  for (const spec of specs) {
    const provider = PROVIDER.exec(spec)?.groups;
    if (provider === undefined) named.push(await keysIn(spec, askPassword));
    else addProvider(parameters, provider["name"] ?? "", provider["attributes"] ?? "");
  }
  return {
    keys: [...named.flatMap(({ keys }) => keys), ...base.keys],
    certificates: [...named.flatMap(({ certificates }) => certificates), ...base.certificates],
    keyrings: [...named.flatMap(({ keyrings }) => keyrings), ...base.keyrings],
    tokenKeys: [...named.flatMap(({ tokenKeys }) => tokenKeys), ...base.tokenKeys],
    parameters,
    skipped: base.skipped,
    ...(base.advice !== undefined && { advice: base.advice }),
  };
}

/**
 * A key file and its password, unopened.
 * @param spec a file as in addNamedKeys
 * @throws DecoderError BAD_KEY
 */
export async function readKeyFile(spec: string): Promise<{
  readonly file: string;
  readonly data: Uint8Array<ArrayBuffer>;
  /** None or one. */
  readonly passwords: readonly Secret[];
}> {
  const { file = "", source, value = "" } = KEY_FILE.exec(spec)?.groups ?? {};
  const passwords = source === undefined ? [] : [await readPassword(source, value)];
  return { file, data: await read(file, "key"), passwords };
}

async function keysIn(spec: string, askPassword: AskPassword): Promise<KeyCollector> {
  const { file, data, passwords } = await readKeyFile(spec);
  if (data.length === 0) throw unusable(file, { reason: "it is empty" });
  let collector = await collect(file, data, passwords);
  let refusal = await refusalOf(collector);
  for (let i = 0; refusal?.isLocked && passwords.length === 0 && i < PASSWORD_TRIES; i++) {
    const password = await askPassword(file, i > 0);
    if (password === undefined) break;
    collector = await collect(file, data, [password]);
    refusal = await refusalOf(collector);
  }
  if (refusal !== undefined) throw unusable(file, refusal);
  return collector;
}

async function collect(file: string, data: Bytes, passwords: readonly Secret[]): Promise<KeyCollector> {
  const collector = new KeyCollector(false);
  await collector.add(data, file, passwords);
  return collector;
}

/** Why no private key of a file can be used, if it has one. A file may also hold certificates alone. */
async function refusalOf(found: KeyCollector): Promise<Unusable | undefined> {
  const { keys, tokenKeys, keyrings, skipped } = found;
  if (keys.length + tokenKeys.length > 0) return undefined;
  const [keyring] = keyrings;
  if (keyring === undefined) return skipped.at(-1);
  const { keyringLock } = await import("./pgp-unlock.ts");
  return await keyringLock(keyring);
}

function unusable(file: string, refusal: Unusable): DecoderError {
  const hint = hintFor(file, refusal);
  return new DecoderError("BAD_KEY", `the key ${file} can't be used: ${refusal.reason}`, {
    ...(hint && { hint }),
  });
}

function hintFor(file: string, { reason, isLocked }: Unusable): string | undefined {
  if (reason === PUBLIC_KEY) return privateHalfHint(file);
  if (isLocked) return passwordForms(file);
  return SIGNING_KEY.test(reason) ? SIGNING_HINT : undefined;
}

/** ocicrypt's form: a provider's name → its attributes, as the only value of a list. */
function addProvider(
  parameters: Map<string, readonly (Bytes | null)[]>,
  name: string,
  attributes: string,
): void {
  parameters.set(name, [...(parameters.get(name) ?? []), new Uint8Array(Buffer.from(attributes))]);
}

async function readPassword(source: string, value: string): Promise<Secret> {
  if (source === "pass") return new Secret(new Uint8Array(Buffer.from(value)));
  if (source === "file") return await readPasswordFile(value);
  if (!/^\d{1,5}$/.test(value))
    throw new DecoderError("BAD_KEY", `"${value}" is not a file descriptor to read a password from`);
  const buffer = new Uint8Array(LIMITS.keyFileBytes);
  const length = new Input(Number(value), `file descriptor ${value}`).fill(buffer);
  return passwordIn(buffer.subarray(0, length));
}

/** Reads a file, which may be a pipe or "-". @throws DecoderError BAD_KEY */
export async function readPasswordFile(path: string): Promise<Secret> {
  return passwordIn(await read(path, "password file"));
}

async function read(path: string, what: string): Promise<Bytes> {
  try {
    return await readNamedFile(path, LIMITS.keyFileBytes);
  } catch (error) {
    const problem = describeSystemError(error);
    throw (
      misplacedPassword(path) ?? new DecoderError("BAD_KEY", `can't read the ${what} ${path}: ${problem}`)
    );
  }
}

/**
 * ocicrypt also takes KEY:filename=FILE and KEY:PASSWORD, where this program has KEY:file=FILE and KEY:pass=PASSWORD. The error
 * does not quote what may be a password.
 */
function misplacedPassword(spec: string): DecoderError | undefined {
  const colon = spec.indexOf(":");
  const [file, rest] = [spec.slice(0, colon), spec.slice(colon + 1)];
  if (colon < 1 || !existsSync(file)) return undefined;
  const passwordFile = /^filename=(.+)/.exec(rest)?.[1];
  const hint =
    passwordFile === undefined ? passwordForms(file) : `did you mean --key ${file}:file=${passwordFile}?`;
  return new DecoderError("BAD_KEY", `the key ${file} is followed by a password in an unknown form`, {
    hint,
  });
}

function passwordForms(file: string): string {
  return `a password goes after the key's file: ${file}:file=PASSWORD-FILE, ${file}:fd=NUMBER or ${file}:pass=TEXT`;
}
