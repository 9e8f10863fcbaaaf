import { DecoderError } from "../../errors.ts";
import { RegistryClient } from "../../registry/client.ts";
import type { RegistryHost } from "../../registry/host.ts";
import type { RegistryName } from "../../registry/name.ts";
import type { SignaturePlaces } from "../find/find.ts";
import { readRegistriesD } from "../find/lookaside.ts";
import { RegistryStore } from "../find/registry-store.ts";
import type { TrustSettings } from "../settings.ts";
import type { ExecProviders } from "./exec-provider.ts";
import { hostFolders } from "./host-folders.ts";
import { registryHosts } from "./hosts-toml.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** A deadline of seconds leaves no time for more. */
const ATTEMPTS = 2;

interface NodePlaces extends SignaturePlaces {
  close(): Promise<void>;
}

/**
 * Where a node finds an image's signatures: its folders, then the registry's servers as containerd has them, with the
 * credentials of the node.
 * @throws DecoderError CONFIG
 */
export async function nodePlaces(
  name: RegistryName,
  settings: TrustSettings,
  environment: Environment,
  signal: AbortSignal,
): Promise<NodePlaces> {
  const folders =
    settings.hostsDir === undefined ? hostFolders(settings.containerdConfig) : [settings.hostsDir];
  const registries = await readRegistriesD(settings.registriesDir);
  const hosts = registryHosts(folders, name.registry);
  // They are asked in turn. A mirror that does not answer must leave time for those after it.
  const mirrors = hosts.slice(0, -1).map((host, position) => {
    const limitMs = (settings.deadlineMs * (position + 1)) / hosts.length;
    return new TimeLimit(host, limitMs);
  });
  const clients = hosts.map((host, position) => {
    const limit = mirrors[position];
    const both = limit === undefined ? signal : AbortSignal.any([signal, limit.signal]);
    return clientOf(host, name, { settings, environment, signal: both });
  });
  return {
    stores: clients.map((client) => new RegistryStore(client)),
    folders: settings.signatureStores,
    registries,
    signal,
    close: async () => {
      for (const limit of mirrors) limit.clear();
      await Promise.all(clients.map((client) => client.close()));
    },
  };
}

/** Ends the requests to a server after some time. */
class TimeLimit {
  readonly #controller = new AbortController();
  readonly #timer: NodeJS.Timeout;

  constructor({ name }: RegistryHost, milliseconds: number) {
    this.#timer = setTimeout(() => {
      const seconds = milliseconds / 1000;
      this.#controller.abort(new DecoderError("REGISTRY", `${name} has not answered within ${seconds} s`));
    }, milliseconds);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  clear(): void {
    clearTimeout(this.#timer);
  }
}

function clientOf(
  host: RegistryHost,
  { registry, repository }: RegistryName,
  {
    settings,
    environment,
    signal,
  }: { readonly settings: TrustSettings; readonly environment: Environment; readonly signal: AbortSignal },
): RegistryClient {
  const { authFile, credentialProviderConfig: config, credentialProviderBinDir: binDir } = settings;
  // A mirror gets the credentials that are for itself, never those of the registry it mirrors.
  const owner = host.query === undefined ? registry : host.name;
  return new RegistryClient({
    repository,
    access: "pull",
    host,
    environment,
    signal,
    attempts: ATTEMPTS,
    findCredential: async () => {
      const { nodeCredential } = await import("./credentials.ts");
      const providers = await providersOf(config, binDir);
      return await nodeCredential({ authFile, providers, environment, signal }, owner, repository);
    },
  });
}

/** kubelet's credential providers; undefined where kubelet has none. */
async function providersOf(
  config: string | undefined,
  binDir: string | undefined,
): Promise<ExecProviders | undefined> {
  if (config === undefined || binDir === undefined) return undefined;
  const { readExecProviders } = await import("./exec-provider.ts");
  return await readExecProviders(config, binDir);
}
