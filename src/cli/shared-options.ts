import { type DecoderOptions, FLAGS, parseDecoderFlags } from "../decoder/flags.ts";
import { DecoderError } from "../errors.ts";
import type { Selection } from "../image/select.ts";
import type { KeySet } from "../keys/keyset.ts";
import type { WrapSettings } from "../keywrap/scheme.ts";
import { LIMITS } from "../limits.ts";
import type { Arguments } from "./arguments.ts";
import type { Options } from "./command.ts";

/** Options that several commands have, and what they come to. */

export const OUTPUT_OPTIONS: Options = {
  quiet: { help: "print errors only", alias: "q" },
  json: { help: "print the result as JSON" },
};

export const SELECTION_OPTIONS: Options = {
  platform: {
    value: "OS/ARCH",
    help: "only this platform of an index; the others are kept as they are",
    repeats: true,
  },
  layer: { value: "N,...", help: "only these layers: 0 is the first one, -1 the last", repeats: true },
  "except-base": { value: "COUNT", help: "all layers but so many from the first" },
};

/** The decoder's own flags that these commands share with it. */
const KEY_FLAGS = [
  "decryption-keys-path",
  "key-passwords-path",
  "allow-external-symlinks",
  "strict-keys",
  "provider-timeout",
  "provider-legacy-dc",
  "verbose",
] as const;
const PROVIDER_FLAGS: readonly string[] = ["provider-timeout", "verbose"];

export const KEY_OPTIONS: Options = {
  key: {
    value: "FILE",
    help: "a private key; its password after it as :pass=TEXT, :file=FILE or :fd=NUMBER; or provider:NAME",
    repeats: true,
  },
  ...decoderFlags(KEY_FLAGS),
};

const KEYS_HINT = "name a private key with --key FILE, or a folder of them with --keys DIR";

export const RECIPIENT_OPTION = {
  value: "RECIPIENT",
  help: "for whom: jwe:FILE, pkcs7:CERT, pgp:NAME-OR-FILE, pkcs11:FILE or provider:NAME[:ATTRS]",
  repeats: true,
} as const;

export const WRAP_OPTIONS: Options = {
  "gpg-homedir": { value: "DIR", help: "gpg's folder, for pgp: recipients by name" },
  ...decoderFlags(PROVIDER_FLAGS),
};

function decoderFlags(names: readonly string[]): Options {
  return Object.fromEntries(
    names.map((name) => {
      const flag = FLAGS.get(name);
      if (flag === undefined) throw new Error(`bug: the decoder has no flag ${name}`);
      const alias = name === "decryption-keys-path" ? { alias: "keys" } : {};
      return [name, { help: flag.help, ...(flag.value !== undefined && { value: flag.value }), ...alias }];
    }),
  );
}

/** @throws DecoderError USAGE */
export function decoderOptions(args: Arguments): DecoderOptions {
  const given = KEY_FLAGS.flatMap((name) => {
    const value = args.text(name);
    return value === undefined ? [] : [`--${name}=${value}`];
  });
  return parseDecoderFlags(given);
}

/** How schemes are to behave, environment included. @throws DecoderError USAGE */
export function schemeSettings(args: Arguments): WrapSettings {
  const { providerTimeoutMs, providerLegacyDc, verbose } = decoderOptions(args);
  const gpgHomedir = args.text("gpg-homedir");
  return {
    environment: process.env,
    providerTimeoutMs,
    providerLegacyDc,
    verbose,
    keysHint: KEYS_HINT,
    ...(gpgHomedir !== undefined && { gpgHomedir }),
  };
}

/** The keys that the command line names, or undefined when it names none. @throws DecoderError BAD_KEY, USAGE */
export async function namedKeys(args: Arguments): Promise<KeySet | undefined> {
  const files = args.texts("key");
  const options = decoderOptions(args);
  if (files.length === 0 && options.keysPath === undefined) return undefined;
  const { loadKeys } = await import("../keys/load.ts");
  const { addNamedKeys } = await import("../keys/named.ts");
  return await addNamedKeys(files, await loadKeys(options));
}

/** @throws DecoderError USAGE when the command line names no keys and nobody else could have any, BAD_KEY */
export async function requiredKeys(args: Arguments): Promise<KeySet> {
  const keys = await namedKeys(args);
  if (keys !== undefined) return keys;
  if (process.env["OCICRYPT_KEYPROVIDER_CONFIG"]) {
    const { loadKeys } = await import("../keys/load.ts");
    return await loadKeys(decoderOptions(args));
  }
  throw new DecoderError("USAGE", "no private key is named", {
    hint: KEYS_HINT,
  });
}

/** @throws DecoderError USAGE */
export function selection(args: Arguments): Selection {
  return {
    platforms: args.texts("platform").flatMap((text) => text.split(",")),
    layers: args.integers("layer", -LIMITS.layers, LIMITS.layers),
    exceptBase: args.integer("except-base", 0, LIMITS.layers) ?? 0,
  };
}
