import type { Secret } from "../secret.ts";

/**
 * A server that answers for a registry, as plain data that can be sent to other threads. A registry with mirrors has several.
 */
export interface RegistryHost {
  /** As people name it, and as messages show it: "docker.io", "127.0.0.1:5000". */
  readonly name: string;
  /** Where the API's paths begin, with a slash at the end: "https://registry-1.docker.io/v2/". */
  readonly api: string;
  readonly tls: TlsSettings;
  /**
   * "never": https only. "fallback": http when the server does not speak TLS. "only": http at once, as an `http:` address
   * in `api` says too.
   */
  readonly plainHttp: "never" | "fallback" | "only";
  /**
   * Where passwords and tokens may travel unencrypted, apart from this machine. "own host": any port of the registry's host,
   * which was asked for by name. A token server elsewhere was named by the registry, over a connection that anyone can change.
   */
  readonly plainSecrets: "never" | "own host" | "everywhere";
  /** Sent to this origin with each request. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Added to each request's query: a mirror is asked with `ns=<registry>`. */
  readonly query?: Readonly<Record<string, string>>;
}

export interface TlsSettings {
  /** False: any certificate will do. */
  readonly verify: boolean;
  /** PEM certificates that are trusted besides the system's. */
  readonly authorities: readonly string[];
  /** PEM certificates that this side shows, with their private keys. */
  readonly pairs: readonly ClientPair[];
}

export interface ClientPair {
  readonly certificate: string;
  readonly key: string;
}

/** Who asks, as plain data but for the secrets. */
export interface Credential {
  /** Empty beside a ready token. */
  readonly username: string;
  readonly password?: Secret;
  /** OAuth 2.0's refresh token. */
  readonly identityToken?: Secret;
  /** A Bearer token that is ready to be sent. */
  readonly registryToken?: Secret;
  /** Where it comes from, for messages: "--creds", "/home/ann/.docker/config.json". */
  readonly origin: string;
}

/** What a search for credentials found. */
export interface CredentialSearch {
  readonly credential?: Credential;
  /** The files that were looked at, in their order. */
  readonly lookedIn: readonly string[];
  /** Files that exist but could not be read. */
  readonly unreadable: readonly string[];
}

/** Finds credentials for a repository, when a server asks for some. @throws DecoderError CONFIG, UNAUTHORIZED */
export type FindCredential = () => Promise<CredentialSearch>;
