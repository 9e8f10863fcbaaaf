import { existsSync } from "node:fs";
import { FLAG_HELP } from "../decoder/flag-help.ts";
import { type FlagName, toMilliseconds } from "../decoder/flags.ts";
import { DecoderError } from "../errors.ts";
import type { Selection } from "../image/select.ts";
import type { KeySet } from "../keys/keyset.ts";
import type { KeyOptions } from "../keys/load.ts";
import type { WrapSettings } from "../keywrap/scheme.ts";
import { recipientForms } from "../keywrap/wrap.ts";
import * as LIMITS from "../limits.ts";
import { printable } from "../text.ts";
import type { Arguments } from "./arguments.ts";
import type { Option, Options } from "./command.ts";

/** Options that several commands share, and the values they stand for. */

export const OUTPUT_OPTIONS: Options = grouped("Output", {
  quiet: { help: "print only what a script needs", alias: "q" },
  json: { help: "print the result, or the error, as JSON" },
});

/** skopeo's form: `--tls-verify=false`. */
export const TLS_VERIFY: Option = { help: "=false accepts any certificate, and plain HTTP" };

export const SELECTION_OPTIONS: Options = grouped("Which layers", {
  platform: {
    value: "OS/ARCH",
    help: "only this platform of an index; the others are not changed",
    alias: "p",
    repeats: true,
  },
  layer: {
    value: "N,...",
    help: "only these layers: 0 is the first, -1 the last",
    alias: "l",
    repeats: true,
  },
  "except-base": { value: "COUNT", help: "all layers except the first COUNT" },
});

/** Options that have the name, the help and the values of a flag of the decoder. */
const KEY_FLAGS = [
  "decryption-keys-path",
  "key-passwords-path",
  "allow-external-symlinks",
  "strict-keys",
  "provider-timeout",
  "provider-legacy-dc",
  "verbose",
] as const;
const PROVIDER_FLAGS = ["provider-timeout", "verbose"] as const;

export const KEY_OPTIONS: Options = grouped("Keys", {
  key: {
    value: "FILE",
    help: "a private key, its password appended as :pass=TEXT, :file=FILE or :fd=NUMBER; or provider:NAME",
    alias: "k",
    repeats: true,
  },
  ...decoderFlags(KEY_FLAGS),
});

const KEYS_HINT = "name a private key with --key FILE, or a folder of them with --keys DIR";

export const RECIPIENT_OPTION = {
  value: "RECIPIENT",
  help: `who can decrypt: ${recipientForms()}`,
  alias: "r",
  repeats: true,
} as const;

export const GPG_OPTIONS: Options = {
  "gpg-homedir": { value: "DIR", help: "gpg's home folder, for pgp: recipients by name" },
};

export const WRAP_OPTIONS: Options = grouped("Keys", {
  anonymous: {
    help: "leave out the names of jwe: and pgp: recipients; a pkcs7: packet always names the certificate",
  },
  "allow-expired": { help: "accept certificates that have expired or are not valid yet" },
  "allow-ca": { help: "accept the certificate of a CA as a recipient" },
  "allow-key-usage": { help: "accept certificates whose keyUsage excludes encryption" },
  ...GPG_OPTIONS,
  ...decoderFlags(PROVIDER_FLAGS),
});

export function grouped(group: string, options: Options): Options {
  return Object.fromEntries(Object.entries(options).map(([name, option]) => [name, { ...option, group }]));
}

function decoderFlags(names: readonly FlagName[]): Options {
  return Object.fromEntries(
    names.map((name) => {
      const { help, value } = FLAG_HELP[name];
      const alias = name === "decryption-keys-path" ? { alias: "keys" } : {};
      return [name, { help, ...(value !== undefined && { value }), ...alias }];
    }),
  );
}

function keyOptions(args: Arguments): KeyOptions {
  const [keysPath, keyPasswordsPath] = [args.text("decryption-keys-path"), args.text("key-passwords-path")];
  return {
    strictKeys: args.flag("strict-keys"),
    allowExternalSymlinks: args.flag("allow-external-symlinks"),
    ...(keysPath !== undefined && { keysPath }),
    ...(keyPasswordsPath !== undefined && { keyPasswordsPath }),
  };
}

/** How key-wrap schemes behave, environment included. @throws DecoderError USAGE */
export function schemeSettings(args: Arguments): WrapSettings {
  const [timeout, gpgHomedir] = [args.text("provider-timeout"), args.text("gpg-homedir")];
  return {
    environment: process.env,
    providerTimeoutMs:
      timeout === undefined ? LIMITS.providerTimeoutMs : toMilliseconds(timeout, "provider-timeout"),
    providerLegacyDc: args.flag("provider-legacy-dc"),
    verbose: args.flag("verbose"),
    isAnonymous: args.flag("anonymous"),
    certificates: {
      allowExpired: args.flag("allow-expired"),
      allowCa: args.flag("allow-ca"),
      allowKeyUsage: args.flag("allow-key-usage"),
    },
    ...(gpgHomedir !== undefined && { gpgHomedir }),
  };
}

/** The keys that the command line names, or undefined if it names none. @throws DecoderError BAD_KEY, USAGE */
export async function namedKeys(
  args: Arguments,
  files: readonly string[] = args.texts("key"),
): Promise<KeySet | undefined> {
  const options = keyOptions(args);
  if (files.length === 0 && options.keysPath === undefined) return undefined;
  if (options.keysPath !== undefined) checkExists(options.keysPath);
  const { loadKeys } = await import("../keys/load.ts");
  const { addNamedKeys } = await import("../keys/named.ts");
  const { askPassword } = await import("./password-prompt.ts");
  const ask = async (file: string, wasWrong: boolean) =>
    await askPassword(`${wasWrong ? "wrong password; " : ""}password for ${printable(file)}: `);
  return { ...(await addNamedKeys(files, await loadKeys(options), ask)), advice: KEYS_HINT };
}

/** On a command line, a missing folder is a mistake. A node's folder may get its keys later. @throws DecoderError BAD_KEY */
function checkExists(keysPath: string): void {
  if (existsSync(keysPath)) return;
  throw new DecoderError("BAD_KEY", `the folder of keys ${keysPath} does not exist`, { hint: KEYS_HINT });
}

/** @throws DecoderError USAGE if the command line names no key and no key provider is configured, BAD_KEY */
export async function requiredKeys(args: Arguments): Promise<KeySet> {
  const keys = await namedKeys(args);
  if (keys !== undefined) return keys;
  if (process.env["OCICRYPT_KEYPROVIDER_CONFIG"]) {
    const { loadKeys } = await import("../keys/load.ts");
    return { ...(await loadKeys(keyOptions(args))), advice: KEYS_HINT };
  }
  throw new DecoderError("USAGE", "no private key is named", {
    hint: KEYS_HINT,
  });
}

/** @throws DecoderError USAGE */
export function selection(args: Arguments): Selection {
  return {
    platforms: platforms(args),
    layers: args.integers("layer", -LIMITS.layers, LIMITS.layers),
    exceptBase: args.integer("except-base", 0, LIMITS.layers) ?? 0,
  };
}

export function platforms(args: Arguments): string[] {
  return args.texts("platform").flatMap((text) => text.split(","));
}
