import { X509Certificate } from "node:crypto";
import { Agent, type RequestOptions, request } from "node:https";
import { isObject, type JsonObject, parseJsonObject } from "../encoding/json.ts";
import { DecoderError, describeSystemError } from "../errors.ts";
import * as LIMITS from "../system-limits.ts";
import { printable } from "../text.ts";
import type { ApiAccess } from "./kubeconfig.ts";
import { type Pod, parsePod } from "./pods.ts";

const STATUS_CHARS = 256;
/** Pods in a page of their list. etcd limits an object to some 1.5 MB, which JSON can make six times as long. */
const PAGE_PODS = 16;
/** Cause of the error for an answer above the limit. */
const TOO_LARGE = Symbol("too large");
/** Names of objects and namespaces: RFC 1123 subdomains. Nothing else may reach a path. */
const NAME = /^[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?$/;
/** Common name that the Node authorizer knows a kubelet by. */
const NODE_USER = /(?:^|\n|,\s*)CN\s*=\s*system:node:([a-z0-9](?:[-a-z0-9.]*[a-z0-9])?)(?:$|\n|,)/;

/** Reads Pods and Secrets with the kubelet's credentials: the Node authorizer allows those of this node only. */
export class KubeApi {
  readonly #access: () => Promise<ApiAccess>;
  #current: ApiAccess | undefined;
  #agent: Agent | undefined;
  #requests = 0;

  /** @param access reads the kubeconfig; called again when the server no longer accepts what it gave */
  constructor(access: () => Promise<ApiAccess>) {
    this.#access = access;
  }

  /** Requests sent so far. */
  get requests(): number {
    return this.#requests;
  }

  /**
   * The node's name: that in the kubelet's certificate.
   * @throws DecoderError TENANTS for credentials without one
   */
  async nodeName(): Promise<string> {
    const { client } = await this.#open();
    const subject = client && new X509Certificate(client.certificate).subject;
    const [, name] = NODE_USER.exec(subject ?? "") ?? [];
    if (name !== undefined) return name;
    throw new DecoderError("TENANTS", "the kubelet's credentials do not say which node this is", {
      hint: "run `ctd-decoder install --tenants --node-name NAME --restart`",
    });
  }

  /**
   * Pods of a node, from the API server's cache. The field selector is what the Node authorizer demands. A tenant can make its
   * Pods so large that the list of all is refused: then it comes in pages, in the end of one Pod each.
   */
  async podsOf(node: string): Promise<readonly Pod[]> {
    const path = `/api/v1/pods?fieldSelector=${encodeURIComponent(`spec.nodeName=${checked(node)}`)}`;
    const all = await this.#getSmall(`${path}&resourceVersion=0`);
    if (all !== undefined) return podsIn(all);
    const pods: Pod[] = [];
    let next = "";
    for (let page = 0; page < LIMITS.apiPages; page++) {
      const from = next === "" ? "" : `&continue=${encodeURIComponent(next)}`;
      const list =
        (await this.#getSmall(`${path}&limit=${PAGE_PODS}${from}`)) ??
        (await this.#getSmall(`${path}&limit=1${from}`));
      if (list === undefined) throw tooLarge();
      pods.push(...podsIn(list));
      const metadata = list["metadata"];
      const mark = isObject(metadata) ? metadata["continue"] : undefined;
      if (typeof mark !== "string" || mark === "") return pods;
      next = mark;
    }
    throw broken(`the list of Pods has more than ${LIMITS.apiPages} pages`);
  }

  /** @returns undefined for an answer above the limit */
  async #getSmall(path: string): Promise<JsonObject | undefined> {
    try {
      return (await this.#get(path)) ?? {};
    } catch (error) {
      if (error instanceof DecoderError && error.cause === TOO_LARGE) return undefined;
      throw error;
    }
  }

  /** A Pod, or undefined when it is gone. */
  async pod(namespace: string, name: string): Promise<JsonObject | undefined> {
    return await this.#get(`/api/v1/namespaces/${checked(namespace)}/pods/${checked(name)}`);
  }

  /** A Secret, or undefined if it does not exist. */
  async secret(namespace: string, name: string): Promise<JsonObject | undefined> {
    return await this.#get(`/api/v1/namespaces/${checked(namespace)}/secrets/${checked(name)}`);
  }

  /** Kubernetes' version, "v1.34.2"; undefined if the server does not report it. */
  async version(): Promise<string | undefined> {
    const version = (await this.#get("/version"))?.["gitVersion"];
    return typeof version === "string" ? version : undefined;
  }

  /**
   * Whether the server answers a request for a Secret, found or not, rather than forbidding it. The Node authorizer forbids
   * Secrets that no Pod of the node refers to, whether they exist or not.
   */
  async mayReadSecret(namespace: string, name: string): Promise<boolean> {
    return await this.#isAllowed(`/api/v1/namespaces/${checked(namespace)}/secrets/${checked(name)}`);
  }

  /** Whether the server lists Pods of other nodes, too (until KEP-4601, on by default from Kubernetes 1.32). */
  async mayListAllPods(): Promise<boolean> {
    return await this.#isAllowed("/api/v1/pods?limit=1");
  }

  async #isAllowed(path: string): Promise<boolean> {
    const { status, body } = await this.#sendAgain(path);
    if (status === 403) return false;
    if (status === 200 || status === 404) return true;
    throw refused(status, parseJsonObject(body));
  }

  close(): void {
    this.#agent?.destroy();
    this.#current?.client?.key.destroy();
    this.#current?.token?.destroy();
    this.#current = undefined;
  }

  /** @returns undefined for 404 */
  async #get(path: string): Promise<JsonObject | undefined> {
    const { status, body } = await this.#sendAgain(path);
    const object = parseJsonObject(body);
    if (status === 404 && object?.["kind"] === "Status") return undefined;
    if (status !== 200) throw refused(status, object);
    if (object === null) throw broken("its answer is not JSON");
    return object;
  }

  async #sendAgain(path: string): Promise<Answer> {
    const answer = await this.#send(path);
    if (answer.status !== 401) return answer;
    // The kubelet's certificate or token has been rotated since it was read.
    this.close();
    return await this.#send(path);
  }

  async #open(): Promise<ApiAccess> {
    this.#current ??= await this.#access();
    return this.#current;
  }

  /** One request with a deadline over all of it. Proxies and redirects are not followed: both would get the token. */
  async #send(path: string): Promise<Answer> {
    const access = await this.#open();
    this.#agent ??= new Agent({ keepAlive: true, maxSockets: 4 });
    this.#requests += 1;
    const signal = AbortSignal.timeout(LIMITS.apiTimeoutMs);
    const url = new URL(access.server + path);
    try {
      return await exchange(url, { agent: this.#agent, signal, ...optionsOf(access) });
    } catch (error) {
      if (error instanceof DecoderError) throw error;
      const why = signal.aborted
        ? `no answer within ${LIMITS.apiTimeoutMs / 1000} s`
        : describeSystemError(error);
      throw new DecoderError("TENANTS", `the API server ${url.host} can't be asked: ${why}`, {
        cause: error,
      });
    }
  }
}

interface Answer {
  readonly status: number;
  readonly body: Uint8Array;
}

function optionsOf({ serverName, ca, client, token }: ApiAccess): RequestOptions {
  return {
    ca: Buffer.from(ca),
    ...(serverName !== undefined && { servername: serverName }),
    ...(client !== undefined && {
      cert: Buffer.from(client.certificate),
      key: Buffer.from(client.key.bytes),
    }),
    headers: {
      accept: "application/json",
      "accept-encoding": "identity",
      "user-agent": "ctd-decoder",
      ...(token !== undefined && { authorization: `Bearer ${Buffer.from(token.bytes).toString("latin1")}` }),
    },
  };
}

function exchange(url: URL, options: RequestOptions): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const sent = request(url, options, (response) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const refuseAbove = (bytes: number) => {
      if (bytes <= LIMITS.apiAnswerBytes) return;
      reject(tooLarge());
      response.destroy();
    };
    refuseAbove(Number(response.headers["content-length"] ?? 0));
    response.on("data", (chunk: Buffer) => {
      size += chunk.length;
      chunks.push(chunk);
      refuseAbove(size);
    });
    response.on("error", reject);
    response.on("aborted", () => reject(broken("its answer broke off")));
    response.on("end", () => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks) }));
  });
  sent.on("error", reject);
  sent.end();
  return promise;
}

function podsIn(list: JsonObject): Pod[] {
  const items = list["items"];
  if (!Array.isArray(items)) throw broken("the list of Pods has no items");
  return items.filter(isObject).flatMap((it) => parsePod(it) ?? []);
}

function checked(name: string): string {
  if (NAME.test(name)) return name;
  throw new DecoderError(
    "TENANTS",
    `${JSON.stringify(printable(name, 64))} is not a name of a Kubernetes object`,
  );
}

/** Kubernetes' Status objects carry a message; it comes from the server and is shown cut. */
function refused(status: number, object: JsonObject | null): DecoderError {
  const message =
    typeof object?.["message"] === "string" ? `: ${printable(object["message"], STATUS_CHARS)}` : "";
  return new DecoderError("TENANTS", `the API server answered ${status}${message}`, {
    ...(status === 403 && {
      hint: "the kubelet's credentials may read what Pods of this node refer to, and nothing else",
    }),
  });
}

function tooLarge(): DecoderError {
  return broken(`its answer has more than ${LIMITS.apiAnswerBytes} bytes`, TOO_LARGE);
}

function broken(what: string, cause?: symbol): DecoderError {
  return new DecoderError("TENANTS", `the API server can't be understood: ${what}`, { cause });
}
