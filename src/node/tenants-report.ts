import { statSync } from "node:fs";
import type { ContainerdConfig } from "../containerd/config.ts";
import { nriRequirement } from "../containerd/nri/requirement.ts";
import { RUNC_TYPE, runtimeHandlers } from "../containerd/runtimes.ts";
import { GZIP_ID, TAR_ID } from "../containerd/stream-processors.ts";
import type { ContainerdVersion } from "../containerd/version.ts";
import { KubeApi } from "../tenants/api.ts";
import { findKubeconfig, readKubeconfig } from "../tenants/kubeconfig.ts";
import { SEALED_DIRECTORY, SETTINGS_FILE } from "../tenants/places.ts";
import { SealRecords } from "../tenants/seal-record.ts";
import { readSettings, type TenantSettings } from "../tenants/settings.ts";
import type { TenantOptions } from "../tenants/tenancy.ts";
import { attempt } from "./attempt.ts";
import { argsOf } from "./check-processors.ts";
import type { Finding } from "./finding.ts";
import { ungated } from "./gate-plan.ts";
import { NodeRoot } from "./node-root.ts";
import { bundles, isGate, runtimeBehind } from "./runtime-entry.ts";

/** How a node isolates tenants. */
export interface TenantsReport {
  /** Name of the node in Kubernetes. */
  readonly node?: string;
  /** Kubernetes' version, "v1.34.2". */
  readonly kubernetes?: string;
  /** How many Pods of this node the kubelet's credentials list. */
  readonly pods?: number;
  readonly sealedDirectory: string;
  /** How many chains have seal records. */
  readonly sealedChains: number;
  /** Runtime handlers with a gate. */
  readonly gates: readonly string[];
  readonly findings: readonly Finding[];
}

interface ReportOptions {
  readonly config: ContainerdConfig;
  readonly version: ContainerdVersion;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** The gate's settings. */
  readonly settingsFile?: string;
}

const FOLDER_MODE = 0o700;
/** A Secret that no Pod names. */
const STRANGERS_SECRET = "ctd-decoder-doctor-asks-for-a-strangers-secret";
const INSTALL_TENANTS = "run `ctd-decoder install --tenants`";

/** @returns undefined on a node that is not set up for tenants */
export async function reportTenants(options: ReportOptions): Promise<TenantsReport | undefined> {
  const { config, version } = options;
  const processors = [TAR_ID, GZIP_ID].flatMap((id) => {
    const processor = config.processors.get(id);
    return processor === undefined || processor.accepts.length === 0
      ? []
      : [[id, argsOf(processor)?.tenants ?? {}] as const];
  });
  const node = new NodeRoot("/");
  const handlers = runtimeHandlers(config, version);
  const gated = handlers.filter(({ binary }) => binary.startsWith("/") && isGate(node, binary));
  const isSetUp =
    gated.length > 0 || processors.some(([, it]) => (it.tenantKeys ?? it.sealedDirectory) !== undefined);
  if (!isSetUp) return undefined;
  const findings: Finding[] = [];
  const settings = attempt(findings, () => readSettings(options.settingsFile ?? SETTINGS_FILE));
  findings.push(...checkFlags(processors, settings), ...checkGates(node, options, gated));
  const records = settings && checkRecords(settings, findings);
  const api = await checkApi({ ...options, tenants: processors[0]?.[1] ?? {}, settings }, findings);
  return {
    ...api,
    sealedDirectory: settings?.sealedDirectory ?? SEALED_DIRECTORY,
    sealedChains: records ?? 0,
    gates: gated.map(({ name }) => name),
    findings,
  };
}

function* checkFlags(
  processors: readonly (readonly [string, TenantOptions])[],
  settings: TenantSettings | undefined,
): Generator<Finding> {
  for (const [id, { tenantKeys, sealedDirectory }] of processors) {
    if (sealedDirectory === undefined) {
      yield error(`${id} has no --sealed-dir: the layers that it decrypts are every Pod's`, INSTALL_TENANTS);
    } else if (settings !== undefined && sealedDirectory !== settings.sealedDirectory) {
      yield error(
        `${id} writes seal records to ${sealedDirectory}, and the gate reads ${settings.sealedDirectory}`,
        `set sealed_dir in ${SETTINGS_FILE}`,
      );
    }
    if (tenantKeys === undefined)
      yield {
        severity: "note",
        message: `${id} has no --tenant-keys: it uses only the node's keys`,
      };
  }
}

function* checkGates(
  node: NodeRoot,
  { config, version }: ReportOptions,
  gated: readonly { readonly name: string; readonly binary: string }[],
): Generator<Finding> {
  const { isRequired, tolerated } = nriRequirement(config, version);
  if (isRequired && tolerated !== undefined)
    yield error(
      `a Pod's annotation ${tolerated} lets it start without the NRI plugin`,
      "remove tolerate_missing_plugins_annotation from [plugins.'io.containerd.nri.v1.nri'.default_validator]",
    );
  if (isRequired && tolerated === undefined) return;
  for (const handler of runtimeHandlers(config, version)) {
    if (handler.type !== RUNC_TYPE) yield ungated(handler);
    else if (!gated.some(({ name }) => name === handler.name))
      yield error(
        `the runtime ${handler.name} starts containers without the gate: its BinaryName is ${JSON.stringify(handler.binary)}`,
        INSTALL_TENANTS,
      );
  }
  for (const { binary } of gated) {
    const runtime = runtimeBehind(node, binary) ?? "";
    if (!node.isExecutable(binary) || !node.isExecutable(runtime))
      yield error(`${binary} runs ${runtime}, and one of them is not an executable`, INSTALL_TENANTS);
  }
  const entries = new Set(gated.map(({ binary }) => binary));
  const older = bundles(node).filter(([id, runtime]) => id.startsWith("k8s.io/") && !entries.has(runtime));
  if (older.length > 0)
    yield {
      severity: "note",
      message: `${older.length} containers that run now were started without the gate, such as ${older[0]?.[0]}`,
    };
}

/** @returns how many chains have records */
function checkRecords({ sealedDirectory }: TenantSettings, findings: Finding[]): number {
  const stat = statSync(sealedDirectory, { throwIfNoEntry: false });
  if (stat?.isDirectory() !== true) {
    findings.push(error(`${sealedDirectory} is not a folder: no layer can be sealed`, INSTALL_TENANTS));
    return 0;
  }
  if ((stat.mode & 0o777) !== FOLDER_MODE || stat.uid !== 0)
    findings.push({
      severity: "error",
      message: `${sealedDirectory} must belong to root, with the mode 0700`,
      hint: `chown root: ${sealedDirectory}; chmod 700 ${sealedDirectory}`,
    });
  const records = new SealRecords(sealedDirectory);
  const chains = records.chains();
  for (const chain of chains) attempt(findings, () => records.of(chain));
  return chains.length;
}

interface ApiOptions extends ReportOptions {
  readonly tenants: TenantOptions;
  readonly settings: TenantSettings | undefined;
}

type ApiReport = Pick<TenantsReport, "node" | "kubernetes" | "pods">;

/** Sends the requests of decoder and gate to the API server, and one that it must refuse. */
async function checkApi(options: ApiOptions, findings: Finding[]): Promise<ApiReport> {
  const { tenants, settings, environment } = options;
  const named = tenants.kubeconfig ?? settings?.kubeconfig;
  if (tenants.kubeconfig !== settings?.kubeconfig)
    findings.push({
      severity: "error",
      message: "the decoder and the gate read different kubeconfigs",
      hint: `set kubeconfig in ${SETTINGS_FILE} to that of --kubeconfig`,
    });
  const api = new KubeApi(() => readKubeconfig(findKubeconfig(named), environment));
  try {
    const report = await attempt(findings, async () => {
      const node = tenants.nodeName ?? (await api.nodeName());
      const pods = (await api.podsOf(node)).length;
      const kubernetes = await api.version();
      return { node, pods, ...(kubernetes !== undefined && { kubernetes }) };
    });
    if (report === undefined) return {};
    await attempt(findings, async () => findings.push(...(await checkAuthorizer(api))));
    return report;
  } finally {
    api.close();
  }
}

async function checkAuthorizer(api: KubeApi): Promise<Finding[]> {
  if (await api.mayReadSecret("default", STRANGERS_SECRET))
    return [
      error(
        "the kubelet's credentials may read Secrets that no Pod of this node names: every tenant's keys are open to this node",
        "turn on the Node authorizer (--authorization-mode=Node,RBAC), and bind no role to nodes",
      ),
    ];
  if (!(await api.mayListAllPods())) return [];
  return [
    {
      severity: "note",
      message: "the kubelet's credentials list the Pods of all nodes",
      hint: "Kubernetes 1.32 and newer limit them to those of this node",
    },
  ];
}

function error(message: string, hint: string): Finding {
  return { severity: "error", message, hint };
}
