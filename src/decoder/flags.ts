import type { ReleaseMode } from "../cipher/release.ts";
import type { StoreOptions } from "../containerd/store/lookup.ts";
import { DecoderError } from "../errors.ts";
import type { KeyOptions } from "../keys/load.ts";
import type { SchemeSettings } from "../keywrap/scheme.ts";
import * as LIMITS from "../limits.ts";
import type { TenantOptions } from "../tenants/tenancy.ts";
import type { AuditOptions } from "./audit.ts";
import type { Expansion, ReleaseOptions } from "./release.ts";

/** The command line of a decoder call, one part for each step that needs it. */
export interface DecoderOptions {
  readonly keys: KeyOptions;
  readonly store: StoreOptions;
  readonly providers: Pick<SchemeSettings, "providerTimeoutMs" | "providerLegacyDc" | "verbose">;
  readonly release: ReleaseOptions;
  readonly audit: AuditOptions;
  readonly trust: TrustOptions;
  readonly tenants: TenantOptions;
}

interface TrustOptions {
  /** A policy or trust.toml: only layers of images that it accepts are decrypted. */
  readonly policyFile?: string;
}

type Part = keyof DecoderOptions;
type Mutable = { [P in Part]: { -readonly [K in keyof DecoderOptions[P]]: DecoderOptions[P][K] } };

/** A flag: the option that it sets, and what reads its text; of a switch, the option's value when the flag is given. */
type Flag = {
  [P in Part]: {
    [K in keyof DecoderOptions[P]]-?: readonly [
      P,
      K,
      DecoderOptions[P][K] extends boolean ? boolean : (text: string, name: string) => DecoderOptions[P][K],
    ];
  }[keyof DecoderOptions[P]];
}[Part];

const MiB = 1024 * 1024;
/** Most layers fit into this, and it keeps a decoder of any layer below 96 MiB: each MiB more costs several. */
const DEFAULT_SPOOL_MEMORY = 4 * MiB;
/** Layers of text and zeros reach 1:20. Bombs start where gzip ends, at 1:1000, and are larger than 1 GiB. */
const DEFAULT_EXPANSION: Expansion = { times: 200, atLeast: 1024 * MiB };
/** In gzip, the end of a tar alone, 10 KiB of zeros, is 1:200. */
const SMALL_LAYER = 64 * 1024;

/**
 * The decoder's flags. yargs, which reads the options of the commands, would double the start-up time of every layer.
 * `flag-help.ts` explains each flag: the texts would cost every layer, too.
 */
export const FLAGS = {
  "decryption-keys-path": ["keys", "keysPath", toText],
  "key-passwords-path": ["keys", "keyPasswordsPath", toText],
  "allow-external-symlinks": ["keys", "allowExternalSymlinks", true],
  "strict-keys": ["keys", "strictKeys", true],
  release: ["release", "mode", toMode],
  "spool-memory": ["release", "spoolMemory", toSize],
  "spool-dir": ["release", "spoolDirectory", toText],
  "verify-digest": ["release", "verifyDigest", true],
  returns: ["release", "returns", toReturns],
  "max-expansion": ["release", "maxExpansion", toExpansion],
  "content-store": ["store", "contentStore", toText],
  "no-content-store": ["store", "useContentStore", false],
  "provider-timeout": ["providers", "providerTimeoutMs", toMilliseconds],
  "provider-legacy-dc": ["providers", "providerLegacyDc", true],
  verbose: ["providers", "verbose", true],
  "tenant-keys": ["tenants", "tenantKeys", toTenantKeys],
  kubeconfig: ["tenants", "kubeconfig", toText],
  "node-name": ["tenants", "nodeName", toText],
  "key-scopes": ["tenants", "keyScopes", toText],
  "sealed-dir": ["tenants", "sealedDirectory", toText],
  "audit-log": ["audit", "auditLog", toText],
  "audit-required": ["audit", "auditRequired", true],
  "no-journal": ["audit", "journal", false],
  "trust-cri-annotations": ["audit", "trustCriAnnotations", true],
  "trust-policy": ["trust", "policyFile", toText],
} as const satisfies Readonly<Record<string, Flag>>;

export type FlagName = keyof typeof FLAGS;

export function isFlag(name: string): name is FlagName {
  return Object.hasOwn(FLAGS, name);
}

/** What a call without flags does. */
export function defaultOptions(): Mutable {
  return {
    keys: { strictKeys: false, allowExternalSymlinks: false },
    store: { useContentStore: true },
    providers: { providerTimeoutMs: LIMITS.providerTimeoutMs, providerLegacyDc: false, verbose: false },
    release: {
      mode: "verified",
      spoolMemory: DEFAULT_SPOOL_MEMORY,
      spoolDirectory: undefined,
      verifyDigest: false,
      maxExpansion: DEFAULT_EXPANSION,
    },
    audit: { auditRequired: false, trustCriAnnotations: false, journal: true },
    trust: {},
    tenants: {},
  };
}

/**
 * Reads the flags in all of Go's forms: `-name value`, `--name value`, `--name=value`. The last one of a name counts.
 * @throws DecoderError USAGE
 */
export function parseDecoderFlags(args: readonly string[]): DecoderOptions {
  const options = defaultOptions();
  for (let i = 0; i < args.length; i++) {
    const arg = args[i] ?? "";
    const { name, inline } = partsOf(arg);
    if (!isFlag(name))
      throw usageError(arg.startsWith("-") ? `unknown option ${arg}` : `unexpected argument ${arg}`);
    const [part, option, to] = FLAGS[name];
    const isSwitch = typeof to === "boolean";
    const text = inline ?? (isSwitch ? "true" : args[++i]);
    if (text === undefined) throw usageError(`--${name} needs a value`);
    const value = isSwitch ? toBoolean(text, name) === to : to(text, name);
    // The table's type says that the part has this option, and that the value is of its type.
    (options[part] as Record<string, unknown>)[option] = value;
  }
  if (options.release.mode === "stream" && options.release.returns === "tar")
    throw usageError(
      "--returns tar needs --release verified: only an authenticated layer may be decompressed",
    );
  if (options.release.mode === "stream" && options.audit.auditRequired)
    throw usageError(
      "--audit-required needs --release verified: with stream, data leaves before the verdict",
    );
  if (options.trust.policyFile === undefined) return options;
  if (options.release.mode === "stream")
    throw usageError(
      "--trust-policy needs --release verified: with stream, data leaves before the digest is known",
    );
  // The HMAC alone proves only that the layer was made for a public key.
  options.release.verifyDigest = true;
  return options;
}

/** Splits a flag at its first equals sign. An argument that does not begin with a dash has an empty name. */
function partsOf(arg: string): { readonly name: string; readonly inline: string | undefined } {
  const equals = arg.indexOf("=");
  const head = equals < 0 ? arg : arg.slice(0, equals);
  const dashes = head.startsWith("--") ? 2 : 1;
  return {
    name: head.startsWith("-") ? head.slice(dashes) : "",
    inline: equals < 0 ? undefined : arg.slice(equals + 1),
  };
}

const UNITS: Readonly<Record<string, number>> = { "": 1, k: 1024, m: MiB, g: 1024 * MiB };

// Values of flags. Each function throws DecoderError USAGE with the flag's name.

/** "16M", "1GiB", "65536" → bytes. */
function toSize(text: string, name: string): number {
  const [, digits, unit = ""] = /^(\d{1,12})([kmg]?)(?:i?b)?$/i.exec(text) ?? [];
  const bytes = Number(digits) * (UNITS[unit.toLowerCase()] ?? Number.NaN);
  if (!Number.isSafeInteger(bytes))
    throw usageError(`--${name} takes a size such as 64K, 16M or 1G, not "${text}"`);
  return bytes;
}

function toText(text: string): string {
  return text;
}

/** "5", "0.25", "5s" → milliseconds. */
export function toMilliseconds(text: string, name: string): number {
  const seconds = /^\d{1,6}(\.\d{1,3})?s?$/.test(text) ? Number.parseFloat(text) : Number.NaN;
  if (!(seconds > 0)) throw usageError(`--${name} takes a number of seconds, not "${text}"`);
  return seconds * 1000;
}

function toBoolean(text: string, name: string): boolean {
  if (text !== "true" && text !== "false") throw usageError(`--${name} takes true or false, not "${text}"`);
  return text === "true";
}

function toMode(text: string, name: string): ReleaseMode {
  if (text !== "verified" && text !== "stream")
    throw usageError(`--${name} takes verified or stream, not "${text}"`);
  return text;
}

function toReturns(text: string, name: string): "tar" {
  if (text !== "tar") throw usageError(`--${name} takes tar, not "${text}"`);
  return text;
}

function toTenantKeys(text: string, name: string): "kubelet" {
  if (text !== "kubelet") throw usageError(`--${name} takes kubelet, not "${text}"`);
  return text;
}

/** "200" → times, "20G" → bytes. */
function toExpansion(text: string, name: string): Expansion {
  if (/^0*[1-9]\d{0,8}$/.test(text)) return { times: Number(text), atLeast: SMALL_LAYER };
  if (/^\d+$/.test(text))
    throw usageError(`--${name} takes a number from 1 or a size such as 20G, not "${text}"`);
  return { times: 0, atLeast: toSize(text, name) };
}

function usageError(message: string): DecoderError {
  return new DecoderError("USAGE", message, {
    hint: "usage: ctd-decoder [--decryption-keys-path PATH] [FLAGS] < layer > plaintext; ctd-decoder --help explains all flags",
  });
}
