import { existsSync } from "node:fs";
import { type ContainerdConfig, isTable, readContainerdConfig } from "../../containerd/config.ts";
import { USUAL_CONFIG } from "../../containerd/process.ts";

/** The CRI plugins of containerd 2.x and 1.x. */
const PLUGINS = ["io.containerd.cri.v1.images", "io.containerd.grpc.v1.cri"];
/** What containerd takes when nothing is configured, since 2.2; before it had no default. */
const DEFAULTS = ["/etc/containerd/certs.d", "/etc/docker/certs.d"];

/** The folders of hosts.toml that containerd's CRI plugin looks into. @throws DecoderError CONFIG */
export function hostFolders(configFile: string | undefined): readonly string[] {
  const path = configFile ?? USUAL_CONFIG;
  const configured = existsSync(path) ? configPath(readContainerdConfig(path)) : undefined;
  return configured === undefined ? DEFAULTS : configured.split(":").filter((it) => it !== "");
}

function configPath({ plugins }: ContainerdConfig): string | undefined {
  for (const name of PLUGINS) {
    const plugin = plugins[name];
    const registry = isTable(plugin) ? plugin["registry"] : undefined;
    const path = isTable(registry) ? registry["config_path"] : undefined;
    if (typeof path === "string" && path !== "") return path;
  }
  return undefined;
}
