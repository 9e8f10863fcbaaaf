import { isAbsolute, resolve } from "node:path";
import { parseToml } from "../encoding/toml.ts";
import { didYouMean } from "../spelling.ts";
import * as LIMITS from "../system-limits.ts";
import { badFile, checkWriters, readOwned } from "./owned-files.ts";
import type { PolicySettings } from "./policy/read-policy.ts";
import { readTrustFile } from "./policy/trust-file.ts";
import type { TrustFile } from "./requirement.ts";
import { VERDICT_FOLDER } from "./verdicts.ts";

/** What a node's operator decides about the image verifier and the decoder's gate. */
export interface TrustSettings extends PolicySettings {
  /** The trust.toml; undefined: there is only a policy. */
  readonly file: TrustFile | undefined;
  /** Path of the policy. */
  readonly policy: string;
  /** Folders of signatures that are looked at before any registry. */
  readonly signatureStores: readonly string[];
  /** Credentials that come before the node's own. */
  readonly authFile: string | undefined;
  /** Own time limit of a verifier call, below containerd's. */
  readonly deadlineMs: number;
  /** Folder of registries.d. */
  readonly registriesDir: string;
  /** Folder of accepted verdicts. */
  readonly verdictDir: string;
  readonly verdictLifeMs: number;
  /** Whether an earlier verdict is enough when the registry can't be asked. */
  readonly staleIfError: boolean;
  /** File to which a line is added for each answer. */
  readonly auditLog: string | undefined;
  /** Exceptions with an end. */
  readonly breakGlass: string;
  /** Folder of containerd's hosts.toml; undefined: as containerd's configuration says. */
  readonly hostsDir: string | undefined;
  /** containerd's configuration; undefined: its usual place. */
  readonly containerdConfig: string | undefined;
  /** kubelet's `--image-credential-provider-config` and `--image-credential-provider-bin-dir`. */
  readonly credentialProviderConfig: string | undefined;
  readonly credentialProviderBinDir: string | undefined;
}

/** What an installation puts on a node for trust. */
export const SETTINGS_FOLDER = "/etc/containerd/ctd-decoder";
export const SETTINGS_FILE = `${SETTINGS_FOLDER}/trust.toml`;
const DEFAULTS = {
  registriesDir: "/etc/containers/registries.d",
  breakGlass: `${SETTINGS_FOLDER}/break-glass`,
} as const;

type Table = Readonly<Record<string, unknown>>;

/**
 * Reads trust.toml. It decides what may run, so that only root may be able to write it, its folder, and the policy.
 * @throws DecoderError CONFIG, BAD_KEY for a trusted root that can't be read
 */
export function readTrustSettings(path = SETTINGS_FILE): TrustSettings {
  const name = resolve(path);
  const bytes = readOwned(name);
  const settings = toSettings(toTable(bytes, name), name);
  checkWriters(settings.policy);
  return { ...settings, file: { name, bytes } };
}

/**
 * The settings of the decoder's gate: a trust.toml, or a policy alone with every other setting's default.
 * @throws DecoderError CONFIG, BAD_KEY
 */
export function readGateSettings(path: string): TrustSettings {
  if (path.endsWith(".toml")) return readTrustSettings(path);
  const policy = resolve(path);
  checkWriters(policy);
  return toSettings({ policy }, policy);
}

function toSettings(table: Table, path: string): TrustSettings {
  const read = new Reader(table, path);
  const root = read.path("trusted_root");
  const policy = read.path("policy");
  const others: Omit<TrustSettings, "policy"> = {
    file: undefined,
    trustedRoot: root === undefined ? undefined : readTrustFile(root),
    signatureStores: read.paths("signature_store"),
    authFile: read.path("auth_file"),
    deadlineMs: read.milliseconds("deadline") ?? LIMITS.verifierMs,
    registriesDir: read.path("registries_d") ?? DEFAULTS.registriesDir,
    verdictDir: read.path("verdict_dir") ?? VERDICT_FOLDER,
    verdictLifeMs: read.milliseconds("verdict_life") ?? LIMITS.verdictLifeMs,
    staleIfError: read.boolean("stale_if_error") ?? true,
    auditLog: read.path("audit_log"),
    breakGlass: read.path("break_glass") ?? DEFAULTS.breakGlass,
    scopeIsIdentity: read.choice("bundle_identity", ["name", "scope"]) === "scope",
    unmatched: read.choice("unmatched", ["reject", "accept"]) === "accept" ? "accept" : "reject",
    hostsDir: read.path("hosts_dir"),
    containerdConfig: read.path("containerd_config"),
    credentialProviderConfig: read.path("image_credential_provider_config"),
    credentialProviderBinDir: read.path("image_credential_provider_bin_dir"),
  };
  // If "policy" is misspelt, it is also missing: the error about the unknown setting says more.
  read.refuseOthers();
  return { ...others, policy: policy ?? read.missing("policy") };
}

function toTable(bytes: Uint8Array, path: string): Table {
  try {
    return parseToml(bytes);
  } catch (error) {
    if (error instanceof SyntaxError) throw badFile(path, `it is ${error.message}`);
    throw error;
  }
}

class Reader {
  readonly #table: Table;
  readonly #path: string;
  readonly #known = new Set<string>();

  constructor(table: Table, path: string) {
    this.#table = table;
    this.#path = path;
  }

  path(name: string): string | undefined {
    const value = this.#value(name);
    if (value === undefined || (typeof value === "string" && isAbsolute(value))) return value;
    throw badFile(this.#path, `${name} is not an absolute path`);
  }

  paths(name: string): readonly string[] {
    const value = this.#value(name) ?? [];
    const list: readonly unknown[] = Array.isArray(value) ? value : [value];
    if (list.every((it): it is string => typeof it === "string" && isAbsolute(it))) return list;
    throw badFile(this.#path, `${name} is not a list of absolute paths`);
  }

  milliseconds(name: string): number | undefined {
    const value = this.#value(name);
    if (value === undefined) return undefined;
    const milliseconds = parseTime(value);
    if (milliseconds !== undefined) return milliseconds;
    throw badFile(this.#path, `${name} is not a time such as "8s" or "24h"`);
  }

  boolean(name: string): boolean | undefined {
    const value = this.#value(name);
    if (value === undefined || typeof value === "boolean") return value;
    throw badFile(this.#path, `${name} is neither true nor false`);
  }

  choice(name: string, choices: readonly string[]): string | undefined {
    const value = this.#value(name);
    if (value === undefined || choices.includes(value as string)) return value as string | undefined;
    throw badFile(this.#path, `${name} is not one of ${choices.join(", ")}`);
  }

  missing(name: string): never {
    throw badFile(this.#path, `${name} is missing`);
  }

  refuseOthers(): void {
    const unknown = Object.keys(this.#table).find((name) => !this.#known.has(name));
    if (unknown === undefined) return;
    const meant = didYouMean(unknown, [...this.#known]);
    throw badFile(this.#path, `unknown setting ${JSON.stringify(unknown)}${meant}`);
  }

  #value(name: string): unknown {
    this.#known.add(name);
    return Object.hasOwn(this.#table, name) ? this.#table[name] : undefined;
  }
}

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** @param value "8s", "500ms", "24h", or a number of seconds. @returns milliseconds; undefined for anything else */
export function parseTime(value: unknown): number | undefined {
  const text = typeof value === "object" ? "" : String(value);
  const [, digits, unit = "s"] = /^(\d{1,6})(ms|s|m|h)?$/.exec(text) ?? [];
  const milliseconds = Number(digits) * (UNITS[unit] ?? Number.NaN);
  return milliseconds > 0 ? milliseconds : undefined;
}
