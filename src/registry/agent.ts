import type { Socket } from "node:net";
import type { SecureContext, TLSSocket } from "node:tls";
import { DecoderError } from "../errors.ts";
import * as LIMITS from "../system-limits.ts";
import { Connection } from "./connection.ts";
import type { PeerCertificate } from "./connection-error.ts";
import { Deadline } from "./deadline.ts";
import type { TlsSettings } from "./host.ts";
import { hostAndPort } from "./origin.ts";
import { type HttpProxy, proxyFor } from "./proxy.ts";
import { openTunnel, proxyError } from "./tunnel.ts";

type Environment = Readonly<Record<string, string | undefined>>;
/** How a TLS connection differs from the usual ones. */
interface SecureOptions {
  /** Only to read the certificate. */
  readonly isOnlyLook?: boolean;
  /** A proxy gets its own credentials: no option about a registry makes it less certain. */
  readonly isAlwaysVerified?: boolean;
}

interface ConnectOptions extends SecureOptions {
  readonly signal?: AbortSignal;
}

/**
 * All that is reached on a registry's word (its token server, the store of its blobs) is trusted by the same authorities.
 * The client's certificate is shown to the registry's own origin only.
 */
interface Connections {
  readonly api: URL;
  readonly tls: TlsSettings;
  readonly environment: Environment;
}

/** Connections, which are kept for later requests to the same origin. */
export class Agents {
  readonly #connections: Connections;
  /** Origin → connections. The most recently used one is taken first, because servers close connections that wait long. */
  readonly #idle = new Map<string, Connection[]>();
  readonly #open = new Set<Connection>();
  /** Origins whose connections are used once. */
  readonly #unkept = new Set<string>();
  readonly #contexts = new Map<string, Promise<SecureContext>>();
  /** Aborts the connections that are being made. */
  #making = new AbortController();
  #isClosed = false;

  constructor(connections: Connections) {
    this.#connections = connections;
  }

  /**
   * Returns a connection for one request. The signal aborts connecting.
   * @throws DecoderError CONFIG for a proxy or certificates that can't be used; Error of the system
   */
  async take(url: URL, signal?: AbortSignal): Promise<Connection> {
    const idle = this.#idle.get(url.origin) ?? [];
    for (let known = idle.pop(); known !== undefined; known = idle.pop()) {
      if (known.isIdle) return known;
      this.end(known);
    }
    const making = this.#making.signal;
    const connection = new Connection(await this.#connect(url, signal === undefined ? {} : { signal }));
    if (making.aborted) connection.destroy();
    else this.#open.add(connection);
    return connection;
  }

  /** Keeps a connection whose last answer was read to its end. */
  keep(url: URL, connection: Connection): void {
    const isKept = !this.#isClosed && !this.#unkept.has(url.origin);
    if (!isKept || !connection.isIdle || !this.#open.has(connection)) return this.end(connection);
    connection.wasKept = true;
    const idle = this.#idle.get(url.origin);
    if (idle === undefined) this.#idle.set(url.origin, [connection]);
    else idle.push(connection);
  }

  /**
   * Stops keeping connections to an origin that closed a kept one. It may close each of them, and an upload's body can't be sent
   * twice.
   */
  keepNone({ origin }: URL): void {
    this.#unkept.add(origin);
    for (const connection of this.#idle.get(origin) ?? []) this.end(connection);
    this.#idle.delete(origin);
  }

  end(connection: Connection): void {
    this.#open.delete(connection);
    connection.destroy();
  }

  /**
   * Ends all connections, including those that are being made. A later request, such as one that removes an unfinished upload,
   * gets a connection that is not kept: an idle one would keep its thread alive.
   */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#making.abort();
    this.#making = new AbortController();
    for (const connection of this.#open) this.end(connection);
    this.#idle.clear();
  }

  /** What the server's certificate says, for a message: a connection of its own, over which nothing is sent. */
  async certificateOf(url: URL): Promise<PeerCertificate | undefined> {
    try {
      const socket = (await this.#connect(url, { isOnlyLook: true })) as TLSSocket;
      const { issuer, subjectaltname, valid_from, valid_to } = socket.getPeerCertificate();
      socket.destroy();
      const names = subjectaltname?.replace(/\b(?:DNS|IP Address):/g, "");
      return { issuer: first(issuer?.CN), names, validFrom: valid_from, validTo: valid_to };
    } catch {
      return undefined;
    }
  }

  async #connect(url: URL, { signal, ...options }: ConnectOptions): Promise<Socket> {
    const signals = [this.#making.signal, ...(signal === undefined ? [] : [signal])];
    const deadline = new Deadline(LIMITS.registryConnectMs, ...signals);
    try {
      const proxy = proxyFor(url, this.#connections.environment);
      const target = hostAndPort(url);
      const raw =
        proxy === undefined ? await plain(target, deadline) : await this.#tunnel(proxy, url, deadline);
      if (url.protocol !== "https:") return raw;
      return await this.#secure(raw, url, deadline, options);
    } finally {
      deadline.end();
    }
  }

  async #secure(
    socket: Socket,
    url: URL,
    deadline: Deadline,
    { isOnlyLook = false, isAlwaysVerified = false }: SecureOptions,
  ): Promise<Socket> {
    const { connect } = await import("node:tls");
    const { isIP } = await import("node:net");
    const { host } = hostAndPort(url);
    // An unverified server must not see the client's certificate.
    const context = this.#context(url.host === this.#connections.api.host && !isOnlyLook);
    // A socket that is left open would keep the process alive.
    context.catch(() => socket.destroy());
    const secured = connect({
      socket,
      host,
      // RFC 6066 §3: addresses are not names.
      ...(isIP(host) === 0 && { servername: host }),
      secureContext: await context,
      rejectUnauthorized: isOnlyLook ? false : isAlwaysVerified || this.#connections.tls.verify,
      ALPNProtocols: ["http/1.1"],
    });
    return await deadline.wait(secured, "secureConnect");
  }

  #context(isOwn: boolean): Promise<SecureContext> {
    const name = isOwn ? "own" : "other";
    const known = this.#contexts.get(name) ?? this.#makeContext(isOwn);
    this.#contexts.set(name, known);
    return known;
  }

  async #makeContext(isOwn: boolean): Promise<SecureContext> {
    const { createSecureContext } = await import("node:tls");
    const { systemAuthorities } = await import("./certificates.ts");
    const { authorities, pairs } = this.#connections.tls;
    // What is named here replaces the runtime's own authorities.
    const ca = [...(await systemAuthorities(this.#connections.environment)), ...authorities];
    const own = isOwn && pairs.length > 0;
    try {
      return createSecureContext({
        ca,
        ...(own && { cert: pairs.map((pair) => pair.certificate), key: pairs.map((pair) => pair.key) }),
      });
    } catch (cause) {
      throw new DecoderError(
        "CONFIG",
        `a certificate or key for ${this.#connections.api.host} can't be used`,
        {
          hint: "certificates are PEM files: *.crt of authorities, *.cert with *.key of this client",
          cause,
        },
      );
    }
  }

  async #tunnel(proxy: HttpProxy, target: URL, deadline: Deadline): Promise<Socket> {
    try {
      const raw = await plain(hostAndPort(proxy.url), deadline);
      const socket =
        proxy.url.protocol === "https:"
          ? await this.#secure(raw, proxy.url, deadline, { isAlwaysVerified: true })
          : raw;
      await deadline.race(openTunnel(socket, proxy, target), socket);
      return socket;
    } catch (error) {
      throw proxyError(proxy, error);
    }
  }
}

async function plain(target: { host: string; port: number }, deadline: Deadline): Promise<Socket> {
  const { connect } = await import("node:net");
  // RFC 6761 §6.3: such a name is this machine, whatever a name server makes of it.
  const host = target.host.endsWith(".localhost") ? "localhost" : target.host;
  return await deadline.wait(connect({ host, port: target.port, noDelay: true }), "connect");
}

function first(name: string | string[] | undefined): string | undefined {
  return Array.isArray(name) ? name[0] : name;
}
