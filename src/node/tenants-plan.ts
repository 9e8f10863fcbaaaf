import { DecoderError } from "../errors.ts";
import { USUAL_PLACES } from "../tenants/kubeconfig.ts";
import { SETTINGS_FILE } from "../tenants/places.ts";
import { readSettings, type TenantSettings } from "../tenants/settings.ts";
import type { FileChange } from "./changes.ts";
import type { Finding } from "./finding.ts";
import type { NodeRoot } from "./node-root.ts";
import type { InstallRecord } from "./record.ts";
import { isGate } from "./runtime-entry.ts";

/** How keys of tenants are found. */
export interface TenantsOptions {
  /** The kubelet's kubeconfig on the node; undefined: at one of the usual places. */
  readonly kubeconfig?: string;
  /** The node's name in Kubernetes; undefined: the one in the kubelet's certificate. */
  readonly nodeName?: string;
}

/** Additions for tenants, apart from the gate. */
interface WantedTenants {
  /** Flags of the decoder. */
  readonly flags: ReadonlyMap<string, string>;
  readonly settings: TenantSettings;
  readonly findings: readonly Finding[];
}

/**
 * @param options undefined: tenants are wanted if an earlier installation put a gate before a runtime
 * @throws DecoderError NOT_FOUND without the kubelet's kubeconfig, CONFIG for settings that are wrong
 */
export function wantedTenants(
  node: NodeRoot,
  { files }: InstallRecord,
  options: TenantsOptions | undefined,
): WantedTenants | undefined {
  if (options === undefined && !files.some(({ path, kind }) => kind === "entry" && isGate(node, path)))
    return undefined;
  const before = readSettings(node.follow(SETTINGS_FILE));
  const { kubeconfig = before.kubeconfig, nodeName } = options ?? {};
  refuseMissing(node, kubeconfig);
  const settings = { ...before, ...(kubeconfig !== undefined && { kubeconfig }) };
  const flags = new Map([
    ["tenant-keys", "kubelet"],
    ["sealed-dir", settings.sealedDirectory],
    ...(kubeconfig === undefined ? [] : ([["kubeconfig", kubeconfig]] as const)),
    ...(nodeName === undefined ? [] : ([["node-name", nodeName]] as const)),
  ]);
  const findings = node.exists(settings.sealedDirectory) ? [] : [UNSEALED];
  return { flags, settings, findings };
}

/** @param named the kubelet's kubeconfig; undefined: at one of the usual places. @throws DecoderError NOT_FOUND */
function refuseMissing(node: NodeRoot, named: string | undefined): void {
  const places = named === undefined ? USUAL_PLACES : [named];
  if (places.some((it) => node.exists(it))) return;
  throw named === undefined
    ? new DecoderError("NOT_FOUND", `the node has no kubeconfig of a kubelet: ${places.join(", ")}`, {
        hint: "name it with --kubeconfig",
      })
    : new DecoderError("NOT_FOUND", `no such file on the node: ${named}, the kubelet's kubeconfig`, {
        hint: "name another with --kubeconfig",
      });
}

const UNSEALED: Finding = {
  severity: "note",
  message: "layers that this node decrypted before have no seal record: every Pod may use them",
  hint: "`ctd-decoder doctor` names their images; remove those that are not every tenant's",
};

/**
 * The file with the gate's settings, where they must differ from the defaults and an operator has written none.
 * @param root containerd's data folder
 * @throws DecoderError CONFIG if an operator's file names another data folder
 */
export function settingsFile(
  node: NodeRoot,
  { kubeconfig, containerdRoot }: TenantSettings,
  root: string,
): FileChange[] {
  if (node.exists(SETTINGS_FILE)) {
    if (containerdRoot === root) return [];
    throw new DecoderError(
      "CONFIG",
      `${SETTINGS_FILE} says that containerd's data are in ${containerdRoot}, and its configuration ${root}`,
      { hint: `write containerd_root = ${JSON.stringify(root)} there` },
    );
  }
  const lines = [
    ...(kubeconfig === undefined ? [] : [`kubeconfig = ${JSON.stringify(kubeconfig)}`]),
    ...(containerdRoot === root ? [] : [`containerd_root = ${JSON.stringify(root)}`]),
  ];
  if (lines.length === 0) return [];
  const text = ["# Settings of ctd-decoder's gate for tenants: see docs/tenants.md.", ...lines, ""].join(
    "\n",
  );
  return [{ path: SETTINGS_FILE, kind: "drop-in", content: { text } }];
}
