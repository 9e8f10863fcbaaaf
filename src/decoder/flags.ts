import type { ReleaseMode } from "../cipher/release.ts";
import type { StoreOptions } from "../containerd/store/lookup.ts";
import type { KeyOptions } from "../keys/load.ts";
import { LIMITS } from "../limits.ts";
import {
  type Expansion,
  toBoolean,
  toExpansion,
  toMilliseconds,
  toRelease,
  toReturns,
  toSize,
  toText,
  usageError,
} from "./flag-values.ts";

/** What the command line of a decoder call says. */
export interface DecoderOptions extends KeyOptions, StoreOptions {
  readonly release: ReleaseMode;
  /** Bytes of ciphertext held in memory. */
  readonly spoolMemory: number;
  readonly spoolDirectory: string | undefined;
  readonly verifyDigest: boolean;
  /** "tar": a compressed layer is decompressed too. undefined: what was encrypted is what comes out. */
  readonly returns?: "tar";
  readonly maxExpansion: Expansion;
  readonly providerTimeoutMs: number;
  readonly providerLegacyDc: boolean;
  readonly verbose: boolean;
  /** A file to which a line is added for each layer; undefined: the environment's OCICRYPT_AUDIT_LOG, if any. */
  readonly auditLog?: string;
  /** Release nothing that can't be written down there. */
  readonly auditRequired: boolean;
  /** Whether containerd, rather than the image's author, wrote the descriptor's `containerd.io/snapshot/cri.` annotations. */
  readonly trustCriAnnotations: boolean;
}

type Mutable = { -readonly [K in keyof DecoderOptions]: DecoderOptions[K] };
/** The options that are on or off. */
type Switch = {
  [K in keyof DecoderOptions]-?: DecoderOptions[K] extends boolean ? K : never;
}[keyof DecoderOptions];

interface Flag {
  /** Shown in usage; undefined for a switch. */
  readonly value?: string;
  readonly help: string;
  readonly set: (options: Mutable, value: string, name: string) => void;
}

/** What most layers fit in, and what keeps a decoder of any layer below 96 MiB: each MiB more costs it several. */
const DEFAULT_SPOOL_MEMORY = 4 * 1024 * 1024;

/** Layers of text and zeros reach 1:20; bombs start where gzip ends, at 1:1000. Nobody needs a bomb below 1 GiB. */
const DEFAULT_EXPANSION: Expansion = { times: 200, atLeast: 1024 ** 3 };

const DEFAULTS: DecoderOptions = {
  strictKeys: false,
  allowExternalSymlinks: false,
  release: "verified",
  spoolMemory: DEFAULT_SPOOL_MEMORY,
  spoolDirectory: undefined,
  verifyDigest: false,
  maxExpansion: DEFAULT_EXPANSION,
  useContentStore: true,
  providerTimeoutMs: LIMITS.providerTimeoutMs,
  providerLegacyDc: false,
  verbose: false,
  auditRequired: false,
  trustCriAnnotations: false,
};

/** The decoder's flags. yargs, which reads the other commands', would double the start-up time of every layer. */
export const FLAGS: ReadonlyMap<string, Flag> = new Map([
  [
    "decryption-keys-path",
    takes("keysPath", "PATH", "private keys: a folder, read with its subfolders, or one file", toText),
  ],
  [
    "key-passwords-path",
    takes("keyPasswordsPath", "DIR", "passwords of encrypted keys: files named as the keys'", toText),
  ],
  [
    "allow-external-symlinks",
    turns("allowExternalSymlinks", true, "follow symlinks that leave the keys folder"),
  ],
  [
    "strict-keys",
    turns("strictKeys", true, "fail at the first file of the keys folder that is no usable key"),
  ],
  [
    "release",
    takes(
      "release",
      "verified|stream",
      "release nothing before the whole layer is authenticated (default), or all but the tail",
      toRelease,
    ),
  ],
  [
    "spool-memory",
    takes(
      "spoolMemory",
      "SIZE",
      "largest layer held in memory; others are read twice from containerd's blob, or go to a temporary file (default 4M)",
      toSize,
    ),
  ],
  [
    "spool-dir",
    takes("spoolDirectory", "DIR", "folder of that temporary file (default $TMPDIR or /var/tmp)", toText),
  ],
  ["verify-digest", turns("verifyDigest", true, "also check the layer against the descriptor's digest")],
  ["returns", takes("returns", "tar", "also decompress the layer, gzip or zstd", toReturns)],
  [
    "max-expansion",
    takes(
      "maxExpansion",
      "N|SIZE",
      "largest decompressed layer, in compressed ones or as a size (default 200, or 1G if that is more)",
      toExpansion,
    ),
  ],
  [
    "content-store",
    takes(
      "contentStore",
      "DIR",
      "containerd's content store, where a layer without a payload is looked up (default: where containerd has blobs open)",
      toText,
    ),
  ],
  [
    "no-content-store",
    turns(
      "useContentStore",
      false,
      "use only what containerd hands over, neither its blobs nor its manifests",
    ),
  ],
  [
    "provider-timeout",
    takes(
      "providerTimeoutMs",
      "SECONDS",
      "longest wait for a key provider or token (default 30)",
      toMilliseconds,
    ),
  ],
  [
    "provider-legacy-dc",
    turns("providerLegacyDc", true, "hand key providers all private keys, as the Go decoder does"),
  ],
  ["verbose", turns("verbose", true, "show what key providers print when they fail")],
  [
    "audit-log",
    takes(
      "auditLog",
      "FILE",
      "add a line of JSON for each layer to FILE (default $OCICRYPT_AUDIT_LOG)",
      toText,
    ),
  ],
  ["audit-required", turns("auditRequired", true, "release nothing when that line can't be written")],
  [
    "trust-cri-annotations",
    turns("trustCriAnnotations", true, "mark the image's name in that line as containerd's own word"),
  ],
]);

/** A flag with a value. */
function takes<K extends keyof DecoderOptions>(
  option: K,
  value: string,
  help: string,
  read: (text: string, name: string) => Mutable[K],
): Flag {
  return {
    value,
    help,
    set: (options, text, name) => {
      options[option] = read(text, name);
    },
  };
}

/** A switch. @param to what the option is when it is given */
function turns(option: Switch, to: boolean, help: string): Flag {
  return {
    help,
    set: (options, text, name) => {
      options[option] = toBoolean(text, name) === to;
    },
  };
}

/**
 * Reads the flags in all of Go's forms: `-name value`, `--name value`, `--name=value`; the last of each counts.
 * @throws DecoderError USAGE
 */
export function parseDecoderFlags(args: readonly string[]): DecoderOptions {
  const options: Mutable = { ...DEFAULTS };
  for (let i = 0; i < args.length; i++) {
    const arg = args[i] ?? "";
    const [, name, inline] = /^--?([a-z][a-z0-9-]*)(?:=([\s\S]*))?$/.exec(arg) ?? [];
    const flag = name === undefined ? undefined : FLAGS.get(name);
    if (flag === undefined || name === undefined)
      throw usageError(arg.startsWith("-") ? `unknown option ${arg}` : `unexpected argument ${arg}`);
    let value = inline;
    if (value === undefined) value = flag.value === undefined ? "true" : args[++i];
    if (value === undefined) throw usageError(`--${name} needs a value (${flag.value})`);
    flag.set(options, value, name);
  }
  if (options.release === "stream" && options.returns === "tar")
    throw usageError(
      "--returns tar needs --release verified: nothing is decompressed before it is authentic",
    );
  if (options.release === "stream" && options.auditRequired)
    throw usageError(
      "--audit-required needs --release verified: a line can't be written before what it tells is known",
    );
  return options;
}
