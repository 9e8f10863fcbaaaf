import { dirname } from "node:path";
import { USUAL_CONFIG } from "../containerd/process.ts";
import { DecoderError } from "../errors.ts";
import * as LIMITS from "../system-limits.ts";
import type { Finding } from "./finding.ts";
import type { NodeRoot } from "./node-root.ts";

/** What runs containerd on a node, and how it is configured. */
export interface Distribution {
  readonly name: "containerd" | "k3s" | "RKE2" | "k0s";
  /** The file that containerd reads. */
  readonly configFile: string;
  /** Whether the file is rendered at each start, so that changes belong in a template beside it. */
  readonly isRendered: boolean;
  /** Folder of files that the distribution imports into a configuration of its own making. */
  readonly dropIns?: string;
  /** Services that run containerd, the likeliest first. */
  readonly units: readonly string[];
  /** containerd executables to ask for their version. */
  readonly executables: readonly string[];
}

const CONTAINERD: Distribution = {
  name: "containerd",
  configFile: USUAL_CONFIG,
  isRendered: false,
  units: ["containerd"],
  executables: ["/usr/bin/containerd", "/usr/local/bin/containerd", "/opt/bin/containerd"],
};

/** They configure their containerd at each start: from a template, or with imports. Agents and workers have units of their own. */
const KUBERNETES: readonly Distribution[] = [
  {
    name: "k3s",
    configFile: "/var/lib/rancher/k3s/agent/etc/containerd/config.toml",
    isRendered: true,
    units: ["k3s", "k3s-agent"],
    executables: ["/var/lib/rancher/k3s/data/current/bin/containerd"],
  },
  {
    name: "RKE2",
    configFile: "/var/lib/rancher/rke2/agent/etc/containerd/config.toml",
    isRendered: true,
    units: ["rke2-server", "rke2-agent"],
    executables: ["/var/lib/rancher/rke2/bin/containerd"],
  },
  {
    name: "k0s",
    configFile: "/etc/k0s/containerd.toml",
    isRendered: false,
    dropIns: "/etc/k0s/containerd.d",
    units: ["k0scontroller", "k0sworker"],
    executables: ["/var/lib/k0s/bin/containerd"],
  },
];

/** Where systemd finds units (systemd.unit(5)), and OpenRC its services. */
const SERVICE_FILES: readonly ((unit: string) => string)[] = [
  (unit) => `/etc/systemd/system/${unit}.service`,
  (unit) => `/run/systemd/system/${unit}.service`,
  (unit) => `/usr/lib/systemd/system/${unit}.service`,
  (unit) => `/lib/systemd/system/${unit}.service`,
  (unit) => `/etc/init.d/${unit}`,
];

/** @param configFile the configuration that the operator or the running containerd names; undefined: unknown */
export function distributionOf(node: NodeRoot, configFile: string | undefined): Distribution {
  const found = KUBERNETES.find((it) => {
    const folder = dirname(it.configFile);
    return configFile === undefined ? node.isFolder(folder) : dirname(configFile) === folder;
  });
  return found ?? { ...CONTAINERD, ...(configFile !== undefined && { configFile }) };
}

/**
 * A typo would install into a file that no containerd reads. Only the usual one may be missing: containerd starts without it.
 * @param named the file that the operator names
 * @throws DecoderError NOT_FOUND
 */
export function refuseMissing(node: NodeRoot, { name, configFile }: Distribution, named: string): void {
  if (name !== "containerd" || configFile === USUAL_CONFIG || node.exists(configFile)) return;
  throw new DecoderError("NOT_FOUND", `the node has no ${named}`, {
    hint: "name with --config the file that containerd reads, or create it first, with the line `version = 2` or `version = 3`",
  });
}

/** The service of a distribution that the node has: an agent's if it has no server's. */
export function unitOf(node: NodeRoot, { units }: Distribution): string {
  const installed = units.find((unit) => SERVICE_FILES.some((fileOf) => node.exists(fileOf(unit))));
  return installed ?? units[0] ?? "containerd";
}

/** os-release(5)'s ID of systems whose files are replaced or cannot be changed → what to do instead. */
const IMMUTABLE: ReadonlyMap<string, string> = new Map([
  [
    "talos",
    "build a system extension with the program, and put the output of `ctd-decoder config` into the machine configuration as /etc/cri/conf.d/20-customization.part",
  ],
  [
    "bottlerocket",
    "build a Bottlerocket variant with the program and the output of `ctd-decoder config`: its settings have no stream processors",
  ],
  [
    "nixos",
    "add the program as a package, and the output of `ctd-decoder config` to virtualisation.containerd.settings",
  ],
]);

/** Systems where an installation does not last. */
const FORGETFUL: ReadonlyMap<string, string> = new Map([
  ["cos", "Container-Optimized OS restores /etc at each boot: install again at boot, as the DaemonSet does"],
]);

/** @throws DecoderError UNHEALTHY for a system that cannot be changed */
export function refuseImmutable(node: NodeRoot): void {
  const id = systemOf(node);
  const advice = IMMUTABLE.get(id);
  if (advice === undefined) return;
  throw new DecoderError("UNHEALTHY", `the node runs ${id}, whose system files cannot be changed`, {
    hint: advice,
  });
}

const MICROK8S = "/var/snap/microk8s";

/** @param configFile the configuration that the operator or the running containerd names. @throws DecoderError UNHEALTHY */
export function refuseMicrok8s(node: NodeRoot, configFile: string | undefined): void {
  const isMicrok8s =
    configFile === undefined
      ? node.isFolder(`${MICROK8S}/current`) && !node.exists(USUAL_CONFIG)
      : configFile.startsWith(`${MICROK8S}/`);
  if (!isMicrok8s) return;
  throw new DecoderError("UNHEALTHY", "microk8s rewrites its containerd's configuration at each start", {
    hint: `append the output of \`ctd-decoder config\`, without its version, to ${MICROK8S}/current/args/containerd-template.toml, and restart microk8s`,
  });
}

export function* warnForgetful(node: NodeRoot): Generator<Finding> {
  const message = FORGETFUL.get(systemOf(node));
  if (message !== undefined) yield { severity: "warning", message };
  if (node.isFolder("/kind")) {
    yield {
      severity: "warning",
      message: "this is a node of kind: what is installed is lost when the cluster is created again",
      hint: "install it in the node image, and name that with `kind create cluster --image`",
    };
  }
}

function systemOf(node: NodeRoot): string {
  for (const path of ["/etc/os-release", "/usr/lib/os-release"]) {
    try {
      const text = Buffer.from(node.read(path, LIMITS.osReleaseBytes)).toString();
      return /^ID=["']?([\w.-]+)/m.exec(text)?.[1] ?? "";
    } catch {
      // A system without a readable file is treated like any other.
    }
  }
  return "";
}
