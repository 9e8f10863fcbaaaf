import { DecoderError } from "../errors.ts";
import { isCutOff, isNotTls, isRefused } from "./connection-error.ts";
import type { RegistryHost } from "./host.ts";
import { isLoopback, shownUrl } from "./origin.ts";

/** The address of a registry's API, which may turn out to speak plain HTTP, and what may be sent there. */
export class ApiAddress {
  /** The API's root. Its protocol changes once plain HTTP is settled on. */
  readonly url: URL;
  readonly #host: RegistryHost;
  /** Whether https is still to be tried before plain HTTP is settled on. */
  #mayFallBack: boolean;

  constructor(host: RegistryHost) {
    this.#host = host;
    this.url = new URL(host.api);
    if (host.plainHttp === "only") this.url.protocol = "http:";
    this.#mayFallBack = host.plainHttp === "fallback" && this.url.protocol === "https:";
  }

  /** The registry's server. It is marked as plain HTTP once that is settled. */
  get host(): RegistryHost {
    return this.url.protocol === "http:" ? { ...this.#host, plainHttp: "only" } : this.#host;
  }

  /** What to do if plain HTTP is not understood; undefined if TLS was to be tried as well. */
  get plainHttpAdvice(): string | undefined {
    const { plainHttp, api } = this.#host;
    if (plainHttp !== "only") return undefined;
    return `if it speaks TLS, ${api.startsWith("https:") ? "leave out --plain-http" : "write https:// in hosts.toml"}`;
  }

  /** @param to below the API's root; or whole, as a server named it */
  resolve(to: string | URL): URL {
    if (typeof to !== "string") return to;
    const url = new URL(to, this.url);
    for (const [name, value] of Object.entries(this.#host.query ?? {})) url.searchParams.append(name, value);
    return url;
  }

  /**
   * Settles on plain HTTP if the registry speaks it, and is allowed to. A refused connection to one port proves nothing about
   * another. A concurrent request may find that the protocol has already been changed.
   * @returns the address over plain HTTP; undefined if the error means something else
   */
  fallBack(error: unknown, to: URL): URL | undefined {
    const hasFallenBack = this.#host.plainHttp === "fallback" && this.url.protocol === "http:";
    if (!(this.#mayFallBack || hasFallenBack) || to.host !== this.url.host || to.protocol !== "https:")
      return undefined;
    if (!isNotTls(error) && !(isRefused(error) && this.url.port === "")) return undefined;
    this.#mayFallBack = false;
    this.url.protocol = "http:";
    const plain = new URL(to);
    plain.protocol = "http:";
    return plain;
  }

  /** Adds advice to an error of a broken connection. Most TLS servers close a connection that gets plain HTTP. */
  advised(error: unknown, { protocol, host }: URL): unknown {
    const hint = this.plainHttpAdvice;
    const isOwn = protocol === "http:" && host === this.url.host;
    if (hint === undefined || !isOwn || !isCutOff(error) || !(error instanceof DecoderError)) return error;
    return new DecoderError(error.code, error.message, { cause: error.cause, hint });
  }

  /** @throws DecoderError UNAUTHORIZED when a password or token would travel where others can read it */
  checkSecrecy(to: URL): void {
    const { plainSecrets } = this.#host;
    if (to.protocol === "https:" || plainSecrets === "everywhere") return;
    if (plainSecrets === "own host" && to.hostname === this.url.hostname) return;
    if (isLoopback(to) && this.url.protocol === "http:") return;
    throw new DecoderError(
      "UNAUTHORIZED",
      `${this.url.host} asks for credentials over plain HTTP, at ${shownUrl(to)}`,
      {
        hint: "say --tls-verify=false if that is meant",
      },
    );
  }
}
