import * as LIMITS from "../system-limits.ts";
import { certificatesFor } from "./certificates.ts";
import { type ClientOptions, RegistryClient } from "./client.ts";
import { findCredential, parsePair } from "./credentials.ts";
import type { RegistryHost } from "./host.ts";
import { DOCKER_HUB, type RegistryName } from "./name.ts";
import { isLoopback } from "./origin.ts";
import { type RemoteRepository, searchOf } from "./remote.ts";

/** How a registry is reached, as a command line and the environment say. Plain data. */
export interface RegistryAccess {
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** "USER:PASSWORD" */
  readonly credentials?: string;
  /** The option that gave them, for messages: "--src-creds". */
  readonly credentialsOption?: string;
  /** A file of credentials. */
  readonly authFile?: string;
  /** A folder of certificates. */
  readonly certificateFolder?: string;
  /** True: never plain HTTP, even on this machine. False: any certificate, and plain HTTP. */
  readonly tlsVerify?: boolean;
  /** Plain HTTP at once. */
  readonly plainHttp?: boolean;
  /** Attempts after the first one. */
  readonly retries?: number;
}

/** The server behind Docker Hub's name. */
const HUB_SERVER = "registry-1.docker.io";

/**
 * A client as people's commands use it: one server, their own credentials and certificates.
 * @throws DecoderError USAGE, CONFIG
 */
export function openClient(
  { registry, repository }: RegistryName,
  access: RegistryAccess,
  options: Pick<ClientOptions, "access" | "mountFrom" | "onWarning" | "signal">,
): RegistryClient {
  const { environment, credentials: given, credentialsOption: givenBy, authFile: file, retries } = access;
  // A mistake on the command line is reported whether or not the registry asks for credentials.
  if (given !== undefined) parsePair(given, givenBy);
  const places = {
    environment,
    ...(given !== undefined && { given }),
    ...(givenBy !== undefined && { givenBy }),
    ...(file !== undefined && { file }),
  };
  return new RegistryClient({
    ...options,
    repository,
    host: hostOf(registry, access),
    environment,
    findCredential: () => findCredential(places, registry, repository),
    attempts: retries === undefined ? LIMITS.registryAttempts : retries + 1,
  });
}

/** @throws DecoderError CONFIG for certificates that can't be used */
export function hostOf(registry: string, access: RegistryAccess): RegistryHost {
  const { environment, certificateFolder, tlsVerify, plainHttp = false } = access;
  const api = `https://${registry === DOCKER_HUB ? HUB_SERVER : registry}/v2/`;
  const mayFallBack = tlsVerify === false || (tlsVerify === undefined && isLoopback(new URL(api)));
  return {
    name: registry,
    api,
    tls: { verify: tlsVerify !== false, ...certificatesFor(registry, environment, certificateFolder) },
    plainHttp: plainHttp ? "only" : mayFallBack ? "fallback" : "never",
    plainSecrets: tlsVerify === false ? "everywhere" : plainHttp ? "own host" : "never",
  };
}

/** The client of another thread. */
export function openRemote(
  remote: RemoteRepository,
  own: Pick<ClientOptions, "signal" | "onWarning">,
): RegistryClient {
  const { search, id: _id, ...options } = remote;
  return new RegistryClient({ ...options, ...own, findCredential: async () => searchOf(search) });
}
