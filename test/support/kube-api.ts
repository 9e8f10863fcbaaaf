import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import type { TLSSocket } from "node:tls";
import { promisify } from "node:util";

export interface PodOptions {
  readonly namespace: string;
  readonly name: string;
  readonly uid?: string;
  readonly node?: string;
  readonly images?: readonly string[];
  /** References of image volumes. */
  readonly volumes?: readonly string[];
  readonly secrets?: readonly string[];
  readonly phase?: string;
  readonly state?: "waiting" | "running";
  readonly annotations?: Readonly<Record<string, string>>;
}

export interface SecretOptions {
  readonly namespace: string;
  readonly name: string;
  readonly type: string;
  readonly data: Readonly<Record<string, string>>;
}

/** How the server misbehaves: gets each request first, and returns true for one that it has answered. */
export type Fault = (request: IncomingMessage, response: ServerResponse) => boolean;

const NODE_USER = "system:node:";

/**
 * An API server's double with mutual TLS and the Node authorizer's rules: a kubelet lists Pods only by its own node's
 * name, and reads only Pods bound to it and Secrets that those refer to.
 */
export class KubeApiDouble {
  readonly folder: string;
  readonly requests: string[] = [];
  readonly pods: PodOptions[] = [];
  readonly secrets: SecretOptions[] = [];
  /** Bearer token → user name. */
  readonly tokens = new Map<string, string>();
  fault: Fault = () => false;
  /** Without the Node authorizer, or one from before Kubernetes 1.32. */
  authorizer: "Node" | "Node before 1.32" | "none" = "Node";
  readonly #server: Server;

  /** @param folder gets the certificates, unless it has them */
  static async start(folder: string): Promise<KubeApiDouble> {
    if (!existsSync(join(folder, "node-1.pem"))) makeCertificates(folder);
    const double = new KubeApiDouble(folder);
    await new Promise<void>((resolve) => double.#server.listen(0, "127.0.0.1", resolve));
    return double;
  }

  private constructor(folder: string) {
    this.folder = folder;
    const read = (name: string) => readFileSync(join(folder, name));
    this.#server = createServer(
      {
        key: read("server.key"),
        cert: read("server.crt"),
        ca: read("ca.crt"),
        requestCert: true,
        rejectUnauthorized: false,
      },
      (request, response) => this.#answer(request, response),
    );
    // Idle connections stay open, so that a test can see that its client closes them.
    this.#server.keepAliveTimeout = 0;
  }

  /** How many connections are open. */
  async connections(): Promise<number> {
    return await promisify(this.#server.getConnections.bind(this.#server))();
  }

  get url(): string {
    return `https://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Writes a kubeconfig for a user entry, by default with the client certificate as files. */
  kubeconfig(user?: object, cluster: object = {}): string {
    const path = join(this.folder, "kubelet.conf");
    const files = { "client-certificate": "node-1.pem", "client-key": "node-1.pem" };
    const config = {
      apiVersion: "v1",
      kind: "Config",
      "current-context": "default",
      contexts: [{ name: "default", context: { cluster: "here", user: "kubelet" } }],
      clusters: [
        { name: "here", cluster: { server: this.url, "certificate-authority": "ca.crt", ...cluster } },
      ],
      users: [{ name: "kubelet", user: user ?? files }],
    };
    writeFileSync(path, JSON.stringify(config));
    return path;
  }

  /** Forgets all objects, requests, tokens and faults. */
  reset(): void {
    for (const list of [this.requests, this.pods, this.secrets]) list.length = 0;
    this.tokens.clear();
    this.fault = () => false;
    this.authorizer = "Node";
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    this.requests.push(`${request.method} ${request.url}`);
    if (this.fault(request, response)) return;
    const user = this.#userOf(request);
    if (user === undefined) return status(response, 401, "Unauthorized");
    const url = new URL(request.url ?? "/", this.url);
    const [, namespace, kind, name] =
      /^\/api\/v1\/namespaces\/([^/]+)\/(pods|secrets)\/([^/]+)$/.exec(url.pathname) ?? [];
    if (url.pathname === "/version") json(response, 200, { major: "1", minor: "34", gitVersion: "v1.34.2" });
    else if (url.pathname === "/api/v1/pods") this.#list(user, url, response);
    else if (kind === "pods") this.#pod(user, `${namespace}/${name}`, response);
    else if (kind === "secrets") this.#secret(user, `${namespace}/${name}`, response);
    else status(response, 404, "the server could not find the requested resource");
  }

  #userOf(request: IncomingMessage): string | undefined {
    const token = /^Bearer (.+)$/.exec(request.headers.authorization ?? "")?.[1];
    if (token !== undefined) return this.tokens.get(token);
    const socket = request.socket as TLSSocket;
    const subject = socket.authorized ? socket.getPeerCertificate().subject : undefined;
    return subject?.O === "system:nodes" ? String(subject.CN) : undefined;
  }

  /** KEP-4601: a node may list Pods with a field selector for itself, and not otherwise. */
  #list(user: string, url: URL, response: ServerResponse): void {
    const node = /^spec\.nodeName=(.+)$/.exec(url.searchParams.get("fieldSelector") ?? "")?.[1];
    if (this.authorizer === "Node" && (node === undefined || user !== NODE_USER + node))
      return status(response, 403, `pods is forbidden: User "${user}"`);
    const pods = this.pods.filter((pod) => node === undefined || nodeOf(pod) === node);
    // With resourceVersion=0 the server answers from its cache, and ignores limit.
    const isWhole = url.searchParams.get("resourceVersion") === "0";
    const start = Number(url.searchParams.get("continue") ?? 0);
    const end = isWhole ? pods.length : start + Number(url.searchParams.get("limit") ?? pods.length);
    const metadata = end < pods.length ? { continue: String(end) } : {};
    const items = pods.slice(start, end).map(podObject);
    json(response, 200, { kind: "PodList", apiVersion: "v1", metadata, items });
  }

  #pod(user: string, id: string, response: ServerResponse): void {
    const pod = this.pods.find((it) => `${it.namespace}/${it.name}` === id);
    if (pod === undefined) return status(response, 404, `pods "${id}" not found`);
    if (user !== NODE_USER + nodeOf(pod)) return status(response, 403, `pods "${id}" is forbidden`);
    json(response, 200, podObject(pod));
  }

  /** The authorizer's graph comes before existence: a Secret that no Pod of the node names is forbidden, there or not. */
  #secret(user: string, id: string, response: ServerResponse): void {
    const isReferred = this.pods.some(
      (pod) =>
        user === NODE_USER + nodeOf(pod) && pod.secrets?.some((name) => `${pod.namespace}/${name}` === id),
    );
    if (!isReferred && this.authorizer !== "none")
      return status(
        response,
        403,
        `secrets "${id}" is forbidden: no relationship found between node and this object`,
      );
    const secret = this.secrets.find((it) => `${it.namespace}/${it.name}` === id);
    if (secret === undefined) return status(response, 404, `secrets "${id}" not found`);
    const { namespace, name, type } = secret;
    const data = Object.fromEntries(
      Object.entries(secret.data).map(([file, text]) => [
        file,
        Buffer.from(text, "latin1").toString("base64"),
      ]),
    );
    json(response, 200, { kind: "Secret", apiVersion: "v1", metadata: { namespace, name }, type, data });
  }
}

function nodeOf({ node = "node-1" }: PodOptions): string {
  return node;
}

function podObject(pod: PodOptions): object {
  const { namespace, name, uid = `uid-of-${name}`, annotations = {} } = pod;
  const state = pod.state === "running" ? { running: {} } : { waiting: { reason: "ContainerCreating" } };
  return {
    kind: "Pod",
    apiVersion: "v1",
    metadata: { namespace, name, uid, annotations },
    spec: {
      nodeName: nodeOf(pod),
      containers: (pod.images ?? []).map((image, i) => ({ name: `c${i}`, image })),
      volumes: (pod.volumes ?? []).map((reference, i) => ({ name: `v${i}`, image: { reference } })),
      imagePullSecrets: (pod.secrets ?? []).map((it) => ({ name: it })),
    },
    status: { phase: pod.phase ?? "Pending", containerStatuses: [{ name: "c0", state }] },
  };
}

function json(response: ServerResponse, code: number, object: object): void {
  const body = Buffer.from(JSON.stringify(object));
  response.writeHead(code, { "content-type": "application/json", "content-length": body.length });
  response.end(body);
}

function status(response: ServerResponse, code: number, message: string): void {
  json(response, code, { kind: "Status", apiVersion: "v1", status: "Failure", message, code });
}

/** A cluster's authority, the server's certificate, and that of the kubelet with its key in one file. */
function makeCertificates(folder: string): void {
  const openssl = (...args: string[]) =>
    execFileSync("openssl", args, { cwd: folder, stdio: ["ignore", "ignore", "pipe"] });
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  openssl(
    "req",
    "-x509",
    ...key,
    "-keyout",
    "ca.key",
    "-out",
    "ca.crt",
    "-subj",
    "/CN=cluster",
    "-days",
    "3650",
  );
  for (const [name, subject, extension] of [
    ["server", "/CN=apiserver", "subjectAltName=IP:127.0.0.1,DNS:kubernetes.default"],
    ["kubelet", "/O=system:nodes/CN=system:node:node-1", "extendedKeyUsage=clientAuth"],
  ] as const) {
    openssl("req", ...key, "-keyout", `${name}.key`, "-out", `${name}.csr`, "-subj", subject);
    writeFileSync(join(folder, `${name}.ext`), extension);
    openssl(
      "x509",
      "-req",
      "-in",
      `${name}.csr`,
      "-CA",
      "ca.crt",
      "-CAkey",
      "ca.key",
      "-CAcreateserial",
      "-out",
      `${name}.crt`,
      "-days",
      "3650",
      "-extfile",
      `${name}.ext`,
    );
  }
  const both = Buffer.concat(["kubelet.crt", "kubelet.key"].map((name) => readFileSync(join(folder, name))));
  writeFileSync(join(folder, "node-1.pem"), both);
}
