import { DecoderError, type ErrorCode } from "../errors.ts";
import { Secret } from "../secret.ts";
import type { Challenge } from "./challenge.ts";
import type { Credential, CredentialSearch, FindCredential, RegistryHost } from "./host.ts";

/** A repository with the client's settings, as plain data. It is sent to other threads, and each makes a client from it. */
export interface RemoteRepository {
  /** One for each image that is opened: a thread's requests for it share a client. */
  readonly id: string;
  readonly host: RegistryHost;
  /** The registry's last challenge, if it has sent one. */
  readonly challenge?: Challenge;
  readonly repository: string;
  readonly access: "pull" | "push";
  readonly attempts: number;
  readonly environment: Readonly<Record<string, string>>;
  readonly search: PlainSearch;
}

/** What a search for credentials came to: secrets as bytes, and the error of a search that failed. */
type PlainSearch =
  | (Omit<CredentialSearch, "credential"> & { readonly credential?: PlainCredential })
  | { readonly code: ErrorCode; readonly message: string; readonly hint: string | undefined };

interface PlainCredential {
  readonly username: string;
  readonly origin: string;
  readonly password?: Uint8Array<ArrayBuffer>;
  readonly identityToken?: Uint8Array<ArrayBuffer>;
  readonly registryToken?: Uint8Array<ArrayBuffer>;
}

/** What of the environment a connection depends on: proxies and authorities. */
const CONNECTION_VARIABLES = [
  ...["HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "https_proxy", "http_proxy", "no_proxy"],
  ...["SSL_CERT_FILE", "SSL_CERT_DIR"],
];

export function connectionEnvironment(
  environment: Readonly<Record<string, string | undefined>>,
): Record<string, string> {
  const found: Record<string, string> = {};
  for (const name of CONNECTION_VARIABLES) {
    const value = environment[name];
    if (value !== undefined) found[name] = value;
  }
  return found;
}

/** Makes the search, so that no other thread has to run a helper or read a file. */
export async function plainSearch(find: FindCredential): Promise<PlainSearch> {
  try {
    const { credential, ...where } = await find();
    return credential === undefined ? where : { ...where, credential: toPlain(credential) };
  } catch (error) {
    if (!(error instanceof DecoderError)) throw error;
    // It matters only if the registry asks for credentials.
    const { code, message, hint } = error;
    return { code, message, hint };
  }
}

function toPlain({ username, origin, password, identityToken, registryToken }: Credential): PlainCredential {
  return {
    username,
    origin,
    ...(password && { password: password.bytes }),
    ...(identityToken && { identityToken: identityToken.bytes }),
    ...(registryToken && { registryToken: registryToken.bytes }),
  };
}

/** @throws DecoderError what the search threw */
export function searchOf(search: PlainSearch): CredentialSearch {
  if ("code" in search) {
    const { code, message, hint } = search;
    throw new DecoderError(code, message, hint === undefined ? {} : { hint });
  }
  const { credential, ...where } = search;
  if (credential === undefined) return where;
  const { username, origin, password, identityToken, registryToken } = credential;
  return {
    ...where,
    credential: {
      username,
      origin,
      ...(password && { password: new Secret(password) }),
      ...(identityToken && { identityToken: new Secret(identityToken) }),
      ...(registryToken && { registryToken: new Secret(registryToken) }),
    },
  };
}
