import { type Bytes, equalConstantTime } from "../encoding/bytes.ts";
import * as LIMITS from "../limits.ts";
import { Secret } from "../secret.ts";
import { KeyCollector, type ParameterName } from "./collector.ts";
import type { KeySet, Parameters } from "./keyset.ts";
import { walkKeys } from "./walk.ts";

export interface KeyOptions {
  /** A directory or a file. Undefined: only the payload's keys. */
  readonly keysPath?: string;
  readonly keyPasswordsPath?: string;
  readonly strictKeys: boolean;
  readonly allowExternalSymlinks: boolean;
}

const NO_KEYS_PATH =
  "the decoder runs without --decryption-keys-path: name the folder with this node's private key";
const NO_USABLE_KEY = "put this node's private key into the folder that --decryption-keys-path names";

function emptyFolder(path: string): string {
  return `${path} is empty or can't be read: put this node's private key there`;
}

/** A payload parameter with keys → the parameter with their passwords, entry by entry. */
const KEY_PARAMETERS: ReadonlyMap<string, string | null> = new Map([
  ["privkeys", "privkeys-passwords"],
  ["x509s", null],
  ["gpg-privatekeys", "gpg-privatekeys-passwords"],
  ["pkcs11-yamls", null],
]);

/**
 * Reads the keys path, then the payload's keys.
 * @throws DecoderError BAD_KEY for an unusable passwords path, or with `strictKeys` for the first unusable file
 */
export async function loadKeys(options: KeyOptions, payload: Parameters = new Map()): Promise<KeySet> {
  const collector = new KeyCollector(options.strictKeys);
  let advice = NO_KEYS_PATH;
  const parameters = new Map<string, (Bytes | null)[]>();
  if (options.keysPath !== undefined) {
    const { keyPasswordsPath } = options;
    const passwordsOf = keyPasswordsPath === undefined ? noPasswords : await passwords(keyPasswordsPath);
    const shared = sharedPasswords(payload);
    const files = walkKeys(options.keysPath, {
      allowExternalSymlinks: options.allowExternalSymlinks,
      onSkip: (origin, reason) => collector.skip({ origin, reason }),
    });
    advice = files.length === 0 ? emptyFolder(options.keysPath) : NO_USABLE_KEY;
    for (const { name, data } of files) {
      remember(parameters, await collector.add(data, name, [...passwordsOf(name), ...shared]), data);
    }
  }
  if (payload.size > 0) await addPayloadKeys(collector, payload);
  for (const [name, values] of payload) parameters.set(name, [...(parameters.get(name) ?? []), ...values]);
  return { ...collector.finish(parameters), advice };
}

async function addPayloadKeys(collector: KeyCollector, payload: Parameters): Promise<void> {
  for (const [name, passwordName] of KEY_PARAMETERS) {
    const passwords = (passwordName && payload.get(passwordName)) || [];
    for (const [i, value] of (payload.get(name) ?? []).entries()) {
      const password = passwords[i];
      if (value !== null && value.length > 0) {
        await collector.add(value, `payload ${name}[${i}]`, password ? [new Secret(password.slice())] : []);
      }
    }
  }
}

/** ocicrypt pairs keys and passwords by position, so a directory's key gets null in the list of passwords. */
function remember(
  parameters: Map<string, (Bytes | null)[]>,
  name: ParameterName | undefined,
  data: Bytes,
): void {
  if (name === undefined) return;
  for (const [list, value] of [
    [name, data],
    [KEY_PARAMETERS.get(name), null],
  ] as const) {
    if (list) parameters.set(list, [...(parameters.get(list) ?? []), value]);
  }
}

function sharedPasswords(payload: Parameters): Secret[] {
  const distinct: Secret[] = [];
  if (payload.size === 0) return distinct;
  const all = [...KEY_PARAMETERS.values()].flatMap((name) => (name ? (payload.get(name) ?? []) : []));
  for (const password of all) {
    if (password === null || password.length === 0 || distinct.length === LIMITS.sharedPasswords) continue;
    if (!distinct.some((other) => equalConstantTime(other.bytes, password)))
      distinct.push(new Secret(password.slice()));
  }
  return distinct;
}

function noPasswords(): Secret[] {
  return [];
}

/** Most nodes have no encrypted keys, and don't load what reads their passwords. */
async function passwords(path: string): Promise<(keyName: string) => Secret[]> {
  const { passwordLookup } = await import("./passwords.ts");
  return passwordLookup(path);
}
