import { CONTENT_PLUGIN } from "../containerd/store/place.ts";
import { parseToml } from "../encoding/toml.ts";
import { DecoderError, describeSystemError, errnoOf } from "../errors.ts";
import { readSmallFile } from "../io/file.ts";
import * as LIMITS from "../system-limits.ts";
import { SEALED_DIRECTORY, VERDICTS_DIRECTORY } from "./places.ts";

/** What the gate needs to know of a node, from a file that only root may write. */
export interface TenantSettings {
  /** Kubeconfig of the kubelet; undefined looks at the usual places. */
  readonly kubeconfig?: string;
  /** containerd's root: the folder with `io.containerd.content.v1.content` in it. */
  readonly containerdRoot: string;
  readonly sealedDirectory: string;
  readonly verdictDirectory: string;
  /** Whether layers that the node's own keys opened may be used by every Pod. */
  readonly sharesNodeLayers: boolean;
  /** Pod namespaces that are not asked. */
  readonly exemptNamespaces: ReadonlySet<string>;
  /** File that gets a line of JSON for each container with sealed layers. */
  readonly auditLog?: string;
}

const TEXTS = new Map([
  ["kubeconfig", "kubeconfig"],
  ["containerd_root", "containerdRoot"],
  ["sealed_dir", "sealedDirectory"],
  ["verdict_dir", "verdictDirectory"],
  ["audit_log", "auditLog"],
]);

const DEFAULTS: TenantSettings = {
  containerdRoot: "/var/lib/containerd",
  sealedDirectory: SEALED_DIRECTORY,
  verdictDirectory: VERDICTS_DIRECTORY,
  sharesNodeLayers: true,
  exemptNamespaces: new Set(["kube-system"]),
};

/** Folder of the content store below containerd's root. */
export function storeOf({ containerdRoot }: TenantSettings): string {
  return `${containerdRoot}/${CONTENT_PLUGIN}`;
}

/** @throws DecoderError CONFIG for a file that can't be read or says something unknown. A missing file means defaults. */
export function readSettings(path: string): TenantSettings {
  let bytes: Uint8Array;
  try {
    bytes = readSmallFile(path, LIMITS.configBytes);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return DEFAULTS;
    throw wrong(path, describeSystemError(error));
  }
  let table: Readonly<Record<string, unknown>>;
  try {
    table = parseToml(bytes);
  } catch (error) {
    if (error instanceof SyntaxError) throw wrong(path, error.message);
    throw error;
  }
  let settings = DEFAULTS;
  for (const [name, value] of Object.entries(table))
    settings = { ...settings, ...setting(path, name, value) };
  return settings;
}

function setting(path: string, name: string, value: unknown): Partial<TenantSettings> {
  const field = TEXTS.get(name);
  if (field !== undefined && typeof value === "string" && value.startsWith("/")) return { [field]: value };
  if (name === "share_node_layers" && typeof value === "boolean") return { sharesNodeLayers: value };
  if (name === "exempt_namespaces" && Array.isArray(value) && value.every((it) => typeof it === "string"))
    return { exemptNamespaces: new Set(value) };
  throw wrong(path, `${JSON.stringify(name.slice(0, 64))} is not a setting, or its value has the wrong type`);
}

function wrong(path: string, why: string): DecoderError {
  return new DecoderError("CONFIG", `can't use ${path}: ${why}`, {
    hint: `settings: ${[...TEXTS.keys()].join(", ")} (absolute paths), share_node_layers (true or false), exempt_namespaces (list of names)`,
  });
}
