import { existsSync } from "node:fs";
import { findCredential } from "../../registry/credentials.ts";
import type { CredentialSearch } from "../../registry/host.ts";
import type { ExecProviders } from "./exec-provider.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** The credentials that a node has of its own. containerd hands a verifier none. */
interface NodeCredentials {
  /** `auth_file` of trust.toml: comes first. */
  readonly authFile: string | undefined;
  /** kubelet's credential providers, which clouds use; undefined where kubelet has none. */
  readonly providers: ExecProviders | undefined;
  readonly environment: Environment;
  readonly signal: AbortSignal;
}

/** Files of credentials, the nearest first. containerd starts a verifier without HOME. */
const FILES = [
  "/etc/containerd/ctd-decoder/auth.json",
  "/run/containers/0/auth.json",
  "/root/.config/containers/auth.json",
  "/var/lib/kubelet/config.json",
  "/root/.docker/config.json",
];

/**
 * Credentials for reading a repository's signatures, of the first place that has some.
 * @throws DecoderError CONFIG, UNAUTHORIZED when a helper or provider fails
 */
export async function nodeCredential(
  { authFile, providers, environment, signal }: NodeCredentials,
  registry: string,
  repository: string,
): Promise<CredentialSearch> {
  const named = authFile === undefined ? [] : [authFile];
  const files = [...named, ...FILES].filter((path) => path === authFile || existsSync(path));
  for (const file of files) {
    const found = await findCredential({ environment, file }, registry, repository);
    if (found.credential !== undefined) return found;
  }
  const lookedIn = [...named, ...FILES];
  if (providers === undefined) return { lookedIn, unreadable: [] };
  const { askExecProviders } = await import("./exec-provider.ts");
  const credential = await askExecProviders(providers, `${registry}/${repository}`, { environment, signal });
  return { lookedIn: [...lookedIn, providers.configFile], unreadable: [], ...(credential && { credential }) };
}
