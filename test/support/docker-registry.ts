import { type ChildProcess, spawn } from "node:child_process";
import { createPrivateKey, randomInt, randomUUID, sign } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { type AddressInfo, createServer as createSocket } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Certified } from "./certificates.ts";
import { registry } from "./peers.ts";

/** Debian's docker-registry (Distribution 2.8) on a port of this machine. */
export interface DockerRegistry {
  /** "127.0.0.1:41234" */
  readonly host: string;
  stop(): Promise<void>;
}

export interface DockerRegistryOptions {
  /** "user:bcrypt", as htpasswd -B writes it. */
  readonly htpasswd?: string;
  readonly tls?: Certified;
  readonly token?: { readonly realm: string; readonly authority: string };
}

/** "ann" and "secret", as htpasswd writes them. */
export const ANN = {
  creds: "ann:secret",
  htpasswd: "ann:$2b$05$VK475kfXClPeTy84D1v2u.rnZoUKT051FluO2CCatJjMh96/KSABi",
};

/** @param folder for its configuration and data */
export async function startDockerRegistry(
  folder: string,
  options: DockerRegistryOptions = {},
): Promise<DockerRegistry> {
  mkdirSync(folder, { recursive: true });
  const at = (name: string, content: string) => {
    writeFileSync(join(folder, name), content);
    return join(folder, name);
  };
  const host = `127.0.0.1:${await freePort()}`;
  const { htpasswd, tls, token } = options;
  const configuration = {
    version: "0.1",
    log: { level: "error", accesslog: { disabled: true } },
    storage: { filesystem: { rootdirectory: join(folder, "data") } },
    http: {
      addr: host,
      ...(tls && { tls: { certificate: at("server.crt", tls.cert), key: at("server.key", tls.key) } }),
    },
    ...(htpasswd && { auth: { htpasswd: { realm: "test", path: at("htpasswd", htpasswd) } } }),
    ...(token && {
      auth: {
        token: {
          realm: token.realm,
          service: "test",
          issuer: "test",
          rootcertbundle: at("root.crt", token.authority),
        },
      },
    }),
  };
  const child = spawn(registry.command, ["serve", at("config.yml", JSON.stringify(configuration))], {
    stdio: "ignore",
  });
  await answering(`${tls === undefined ? "http" : "https"}://${host}`, child);
  return { host, stop: () => ended(child) };
}

/** Below the ports that Linux gives to connections and to servers without a port of their own (ip(7), ip_local_port_range). */
const PORTS = { first: 20_000, end: 32_768 };

/** A port for a program that can't choose one itself. Nothing else takes it before the program listens. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(PORTS.first, PORTS.end);
    const socket = createSocket();
    const isFree = await new Promise<boolean>((resolve) => {
      socket.once("error", () => resolve(false));
      socket.listen(port, "127.0.0.1", () => resolve(true));
    });
    if (!isFree) continue;
    await new Promise((resolve) => socket.close(resolve));
    return port;
  }
}

async function answering(url: string, child: ChildProcess): Promise<void> {
  const { connect } = await import("node:net");
  const { hostname, port } = new URL(url);
  for (;;) {
    if (child.exitCode !== null) throw new Error(`docker-registry ended with ${child.exitCode}`);
    const isOpen = await new Promise<boolean>((resolve) => {
      const socket = connect(Number(port), hostname, () => resolve(true));
      socket.on("error", () => resolve(false)).on("connect", () => socket.end());
    });
    if (isOpen) return;
    await sleep(50);
  }
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return;
  const exit = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGKILL");
  await exit;
}

/** A token server for it: JSON Web Tokens, signed with a certificate whose authority the registry knows. */
export async function startTokenServer(
  { cert, key }: Certified,
  user: string,
): Promise<{ readonly url: string; readonly asked: string[]; stop(): Promise<void> }> {
  const asked: string[] = [];
  const expected = `Basic ${Buffer.from(user).toString("base64")}`;
  const server = createServer((request, response) => {
    const query = new URL(request.url ?? "", "http://localhost").searchParams;
    asked.push(request.url ?? "");
    if (request.headers.authorization !== expected) {
      response.writeHead(401).end();
      return;
    }
    const access = query.getAll("scope").map((scope) => {
      const [type, name, actions = ""] = scope.split(":");
      return { type, name, actions: actions.split(",") };
    });
    const now = Math.floor(Date.now() / 1000);
    const claims = {
      iss: "test",
      sub: "ann",
      aud: "test",
      exp: now + 300,
      nbf: now - 10,
      iat: now,
      jti: randomUUID(),
      access,
    };
    const header = { typ: "JWT", alg: "ES256", x5c: [cert.replace(/-----[^-]*-----|\s/g, "")] };
    const text = [header, claims]
      .map((part) => Buffer.from(JSON.stringify(part)).toString("base64url"))
      .join(".");
    const signature = sign("sha256", Buffer.from(text), {
      key: createPrivateKey(key),
      dsaEncoding: "ieee-p1363",
    });
    response.setHeader("Content-Type", "application/json");
    response.end(JSON.stringify({ token: `${text}.${signature.toString("base64url")}`, expires_in: 300 }));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/token`,
    asked,
    stop: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
