import { RegistryClient } from "../../registry/client.ts";
import type { RegistryHost } from "../../registry/host.ts";
import type { RegistryName } from "../../registry/name.ts";
import type { SignaturePlaces } from "../find/find.ts";
import { readRegistriesD } from "../find/lookaside.ts";
import { RegistryStore } from "../find/registry-store.ts";
import type { TrustSettings } from "../settings.ts";
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
  const open = (host: RegistryHost) => clientOf(host, name, { settings, environment, signal });
  const clients = registryHosts(folders, name.registry).map(open);
  return {
    stores: clients.map((client) => new RegistryStore(client)),
    folders: settings.signatureStores,
    registries: await readRegistriesD(settings.registriesDir),
    signal,
    close: async () => {
      await Promise.all(clients.map((client) => client.close()));
    },
  };
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
      const { readExecProviders } = await import("./exec-provider.ts");
      const providers =
        config === undefined || binDir === undefined ? undefined : await readExecProviders(config, binDir);
      return await nodeCredential({ authFile, providers, environment, signal }, owner, repository);
    },
  });
}
