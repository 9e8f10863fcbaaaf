import type { Agent as HttpAgent } from "node:http";
import type { Socket } from "node:net";
import type { SecureContext, TLSSocket } from "node:tls";
import { DecoderError } from "../errors.ts";
import * as LIMITS from "../limits.ts";
import { connectionError, type PeerCertificate, timedOut } from "./connection-error.ts";
import type { TlsSettings } from "./host.ts";
import { hostAndPort } from "./origin.ts";
import { type HttpProxy, proxyFor } from "./proxy.ts";

type Environment = Readonly<Record<string, string | undefined>>;
/** How a TLS connection differs from the usual ones. */
interface SecureOptions {
  /** Only to read the certificate. */
  readonly isOnlyLook?: boolean;
  /** A proxy gets its own credentials: no option about a registry makes it less certain. */
  readonly isAlwaysVerified?: boolean;
}

type Connected = (error: Error | null, socket?: Socket) => void;

/**
 * All that is reached on a registry's word (its token server, the store of its blobs) is trusted by the same authorities.
 * The client's certificate is shown to the registry's own origin only.
 */
interface Connections {
  readonly api: URL;
  readonly tls: TlsSettings;
  readonly environment: Environment;
}

/**
 * Kept connections, by origin. Node's own agents know neither a proxy nor a registry's certificates, so each connection is
 * made here.
 */
export class Agents {
  readonly #connections: Connections;
  readonly #agents = new Map<string, Promise<HttpAgent>>();
  readonly #contexts = new Map<string, Promise<SecureContext>>();

  constructor(connections: Connections) {
    this.#connections = connections;
  }

  /** @throws DecoderError CONFIG for a proxy or certificates that can't be used */
  for(url: URL): Promise<HttpAgent> {
    const known = this.#agents.get(url.origin) ?? this.#make(url);
    this.#agents.set(url.origin, known);
    return known;
  }

  /** Ends all connections. */
  async close(): Promise<void> {
    for (const agent of await Promise.allSettled(this.#agents.values())) {
      if (agent.status === "fulfilled") agent.value.destroy();
    }
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

  async #make(url: URL): Promise<HttpAgent> {
    const isSecure = url.protocol === "https:";
    const { Agent } = isSecure ? await import("node:https") : await import("node:http");
    const agent = new Agent({ keepAlive: true });
    const connect = (_options: unknown, connected: Connected) => {
      this.#connect(url, {}).then((socket) => connected(null, socket), connected);
      return undefined;
    };
    return Object.assign(agent, { createConnection: connect });
  }

  async #connect(url: URL, options: SecureOptions): Promise<Socket> {
    const deadline = new Deadline(LIMITS.registryConnectMs);
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
    const secured = connect({
      socket,
      host,
      // RFC 6066 §3: addresses are not names.
      ...(isIP(host) === 0 && { servername: host }),
      // An unverified server must not see the client's certificate.
      secureContext: await this.#context(url.host === this.#connections.api.host && !isOnlyLook),
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
    const ca = [...systemAuthorities(this.#connections.environment), ...authorities];
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

  /** RFC 9110 §9.3.6: a tunnel to the target, so that the proxy sees neither requests nor credentials. */
  async #tunnel(proxy: HttpProxy, target: URL, deadline: Deadline): Promise<Socket> {
    const raw = await plain(hostAndPort(proxy.url), deadline).catch((error) => {
      throw proxyError(proxy, connectionError(error, proxy.url).message, error);
    });
    const socket =
      proxy.url.protocol === "https:"
        ? await this.#secure(raw, proxy.url, deadline, { isAlwaysVerified: true })
        : raw;
    const { host, port } = hostAndPort(target);
    const authority = `${host.includes(":") ? `[${host}]` : host}:${port}`;
    const authorization = proxy.authorization && `Proxy-Authorization: ${proxy.authorization}\r\n`;
    socket.write(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n${authorization ?? ""}\r\n`);
    const status = await deadline.race(connectStatus(socket), socket);
    if (status >= 200 && status < 300) return socket;
    socket.destroy();
    const why = status === 407 ? "it wants other credentials" : `it answered ${status}`;
    throw proxyError(
      proxy,
      `the proxy ${proxy.url.host} opens no connection to ${authority}: ${why}`,
      undefined,
    );
  }
}

function proxyError(proxy: HttpProxy, message: string, cause: unknown): DecoderError {
  return new DecoderError("REGISTRY", message, {
    hint: `HTTPS_PROXY or HTTP_PROXY names the proxy ${proxy.url.host}; NO_PROXY exempts hosts from it`,
    cause,
  });
}

async function plain(target: { host: string; port: number }, deadline: Deadline): Promise<Socket> {
  const { connect } = await import("node:net");
  // RFC 6761 §6.3: such a name is this machine, whatever a name server makes of it.
  const host = target.host.endsWith(".localhost") ? "localhost" : target.host;
  return await deadline.wait(connect({ host, port: target.port, noDelay: true }), "connect");
}

/** The status of the answer to CONNECT; what follows its head belongs to the tunnel. */
async function connectStatus(socket: Socket): Promise<number> {
  let head = Buffer.alloc(0);
  for (;;) {
    const chunk: Buffer | null = socket.read();
    if (chunk === null) {
      const { once } = await import("node:events");
      await Promise.race([
        once(socket, "readable"),
        once(socket, "end").then(() => Promise.reject(timedOut())),
      ]);
      continue;
    }
    head = Buffer.concat([head, chunk]);
    const end = head.indexOf("\r\n\r\n");
    if (end < 0 && head.length > LIMITS.registryErrorBytes) return Number.NaN;
    if (end < 0) continue;
    const rest = head.subarray(end + 4);
    if (rest.length > 0) socket.unshift(rest);
    return Number(/^HTTP\/1\.[01] (\d{3})/.exec(head.toString("latin1"))?.[1] ?? Number.NaN);
  }
}

function first(name: string | string[] | undefined): string | undefined {
  return Array.isArray(name) ? name[0] : name;
}

/** One time limit over the steps of making a connection. */
class Deadline {
  readonly #expired = Promise.withResolvers<never>();
  readonly #timer: NodeJS.Timeout;

  constructor(milliseconds: number) {
    this.#expired.promise.catch(() => undefined);
    this.#timer = setTimeout(() => this.#expired.reject(timedOut()), milliseconds);
  }

  end(): void {
    clearTimeout(this.#timer);
  }

  /** A socket once it has emitted an event; it is destroyed when it fails or time is up. */
  async wait(socket: Socket, event: string): Promise<Socket> {
    const done = Promise.withResolvers<void>();
    socket.once("error", done.reject);
    socket.once("close", () => done.reject(Object.assign(new Error("closed"), { code: "ECONNRESET" })));
    socket.once(event, () => done.resolve());
    await this.race(done.promise, socket);
    socket.off("error", done.reject);
    return socket;
  }

  async race<T>(work: Promise<T>, socket: Socket): Promise<T> {
    try {
      return await Promise.race([work, this.#expired.promise]);
    } catch (error) {
      socket.on("error", () => undefined);
      socket.destroy();
      throw error;
    }
  }
}
