import { Secret } from "../secret.ts";
import { KeyCollector, type ParameterName } from "./collector.ts";
import type { KeySet, Parameters } from "./keyset.ts";
import { passwordLookup } from "./passwords.ts";
import { walkKeys } from "./walk.ts";

export interface KeyOptions {
  /** A directory or a file; undefined: only the payload's keys. */
  readonly keysPath?: string;
  readonly keyPasswordsPath?: string;
  readonly strictKeys: boolean;
  readonly allowExternalSymlinks: boolean;
}

/** The payload's parameter with keys → the one with their passwords, entry by entry. */
const KEY_PARAMETERS: ReadonlyMap<string, string | null> = new Map([
  ["privkeys", "privkeys-passwords"],
  ["x509s", null],
  ["gpg-privatekeys", "gpg-privatekeys-passwords"],
  ["pkcs11-yamls", null],
]);

/** A key of the directory is also tried with so many passwords of the payload, in case one is meant for it. */
const SHARED_PASSWORDS = 16;

/**
 * Reads the keys path, then takes the payload's keys.
 * @throws DecoderError BAD_KEY for an unusable passwords path, or with `strictKeys` for the first file that is no key
 */
export async function loadKeys(options: KeyOptions, payload: Parameters = new Map()): Promise<KeySet> {
  const collector = new KeyCollector(options.strictKeys);
  const parameters = new Map<string, (Uint8Array<ArrayBuffer> | null)[]>();
  if (options.keysPath !== undefined) {
    const passwordsOf = passwordLookup(options.keyPasswordsPath);
    const shared = sharedPasswords(payload);
    const files = walkKeys(options.keysPath, {
      allowExternalSymlinks: options.allowExternalSymlinks,
      onSkip: (name, reason) => collector.skip(name, reason),
    });
    for (const { name, data } of files) {
      remember(parameters, await collector.add(data, name, [...passwordsOf(name), ...shared]), data);
    }
  }
  await addPayloadKeys(collector, payload);
  for (const [name, values] of payload) parameters.set(name, [...(parameters.get(name) ?? []), ...values]);
  return collector.finish(parameters);
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

/** A directory's key has no password in ocicrypt's lists, but the lists go on by position: its place is null. */
function remember(
  parameters: Map<string, (Uint8Array<ArrayBuffer> | null)[]>,
  name: ParameterName | undefined,
  data: Uint8Array<ArrayBuffer>,
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
  if (payload.size === 0) return [];
  const all = [...KEY_PARAMETERS.values()].flatMap((name) => (name ? (payload.get(name) ?? []) : []));
  const distinct: Secret[] = [];
  for (const password of all) {
    if (password === null || password.length === 0 || distinct.length === SHARED_PASSWORDS) continue;
    if (!distinct.some((other) => Buffer.compare(other.bytes, password) === 0))
      distinct.push(new Secret(password.slice()));
  }
  return distinct;
}
