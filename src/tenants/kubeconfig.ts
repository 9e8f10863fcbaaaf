import { existsSync } from "node:fs";
import { dirname, isAbsolute, join } from "node:path";
import { decodeBase64 } from "../encoding/base64.ts";
import { isObject, type JsonObject, parseJsonObject } from "../encoding/json.ts";
import { parseYaml } from "../encoding/yaml.ts";
import { DecoderError, describeSystemError } from "../errors.ts";
import { readSmallFile } from "../io/file.ts";
import { runCommand } from "../process/command.ts";
import { Secret } from "../secret.ts";
import * as LIMITS from "../system-limits.ts";

/** The API server's address and credentials. They are read for each call, since kubelets rotate their credentials. */
export interface ApiAccess {
  /** Origin and base path, without a slash at the end: "https://10.0.0.1:6443". */
  readonly server: string;
  /** Name to verify in the server's certificate, where it isn't the URL's. */
  readonly serverName?: string;
  /** PEM certificates of the cluster's authority. */
  readonly ca: Uint8Array;
  /** PEM certificate and private key of the kubelet. */
  readonly client?: { readonly certificate: Uint8Array; readonly key: Secret };
  /** Bearer token. */
  readonly token?: Secret;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** Where kubeadm, kubelets of cloud providers, k3s and RKE2 keep the kubelet's kubeconfig. */
export const USUAL_PLACES = [
  "/etc/kubernetes/kubelet.conf",
  "/var/lib/kubelet/kubeconfig",
  "/var/lib/rancher/k3s/agent/kubelet.kubeconfig",
  "/var/lib/rancher/rke2/agent/kubelet.kubeconfig",
];

/** @throws DecoderError TENANTS if none is found */
export function findKubeconfig(named: string | undefined): string {
  const found = named ?? USUAL_PLACES.find((path) => existsSync(path));
  if (found !== undefined) return found;
  throw new DecoderError("TENANTS", "the kubelet's kubeconfig was not found", {
    hint: `looked at ${USUAL_PLACES.join(", ")}; name it with --kubeconfig`,
  });
}

/**
 * Reads the current context of a kubeconfig (Kubernetes API `v1.Config`): certificates and tokens as files or data, and
 * exec plugins.
 * @throws DecoderError TENANTS; its message quotes nothing of the file
 */
export async function readKubeconfig(path: string, environment: Environment): Promise<ApiAccess> {
  const config = parseConfig(path);
  const context = named(config, "contexts", text(config["current-context"]), "context");
  const cluster = named(config, "clusters", text(context["cluster"]), "cluster");
  const user = named(config, "users", text(context["user"]), "user");
  const files = new ConfigFiles(path);
  const server = text(cluster["server"]) ?? "";
  if (!/^https:\/\/[^/?#@]+(?:\/[^?#]*)?$/.test(server)) throw wrong(path, "its server is not an https URL");
  if (text(cluster["insecure-skip-tls-verify"]) === "true") {
    throw wrong(path, "it sets insecure-skip-tls-verify, which would hand keys to anybody");
  }
  const ca = files.dataOr(cluster, "certificate-authority");
  if (ca === undefined) throw wrong(path, "it names no certificate authority");
  const serverName = text(cluster["tls-server-name"]);
  return {
    server: server.replace(/\/+$/, ""),
    ...(serverName !== undefined && { serverName }),
    ca,
    ...(await credentialsOf(user, files, environment)),
  };
}

function parseConfig(path: string): JsonObject {
  try {
    const bytes = readSmallFile(path, LIMITS.kubeconfigBytes);
    const value = parseJsonObject(bytes) ?? parseYaml(bytes)[0];
    if (isObject(value)) return value;
  } catch (error) {
    if (error instanceof SyntaxError) throw wrong(path, "it is not valid YAML");
    throw new DecoderError("TENANTS", `can't read ${path}: ${describeSystemError(error)}`, { cause: error });
  }
  throw wrong(path, "it is not a kubeconfig");
}

/** The entry of a list that has a name, as kubeconfigs nest them: `clusters: [{name, cluster: {…}}]`. */
function named(config: JsonObject, list: string, name: string | undefined, field: string): JsonObject {
  const entries = Array.isArray(config[list]) ? config[list] : [];
  const entry = entries.find((it) => isObject(it) && it["name"] === name);
  const value = isObject(entry) ? entry[field] : undefined;
  if (name === undefined || !isObject(value))
    throw new DecoderError("TENANTS", `the kubeconfig has no ${field} of that name`);
  return value;
}

/** Files that a kubeconfig names. Relative paths start at its own folder. */
class ConfigFiles {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  read(name: string): Uint8Array<ArrayBuffer> {
    const path = isAbsolute(name) ? name : join(dirname(this.path), name);
    try {
      return readSmallFile(path, LIMITS.kubeconfigBytes);
    } catch (error) {
      throw new DecoderError("TENANTS", `can't read ${path}: ${describeSystemError(error)}`, {
        cause: error,
      });
    }
  }

  /** `field-data` in base64, or else the file that `field` names. Data win, as in client-go. */
  dataOr(object: JsonObject, field: string): Uint8Array<ArrayBuffer> | undefined {
    const data = text(object[`${field}-data`]);
    if (data !== undefined) {
      const bytes = decodeBase64(data);
      if (bytes === null) throw wrong(this.path, `its ${field}-data is not valid base64`);
      return bytes;
    }
    const file = text(object[field]);
    return file === undefined ? undefined : this.read(file);
  }
}

async function credentialsOf(
  user: JsonObject,
  files: ConfigFiles,
  environment: Environment,
): Promise<Pick<ApiAccess, "client" | "token">> {
  const certificate = files.dataOr(user, "client-certificate");
  const key = files.dataOr(user, "client-key");
  if (certificate !== undefined && key !== undefined)
    return { client: { certificate, key: new Secret(key) } };
  // A token file wins over a token: it is the one that rotates.
  const tokenFile = text(user["tokenFile"]);
  if (tokenFile !== undefined) return { token: trimmed(files.read(tokenFile)) };
  const token = text(user["token"]);
  if (token !== undefined) return { token: new Secret(new Uint8Array(Buffer.from(token))) };
  if (isObject(user["exec"])) return await askPlugin(user["exec"], files.path, environment);
  throw wrong(files.path, "its user has no certificate, token or exec plugin");
}

/**
 * Runs a credential plugin: client.authentication.k8s.io ExecCredential, v1 and v1beta1.
 * @throws DecoderError TENANTS; what the plugin printed is not quoted
 */
async function askPlugin(
  exec: JsonObject,
  config: string,
  environment: Environment,
): Promise<Pick<ApiAccess, "client" | "token">> {
  const name = text(exec["command"]) ?? "";
  // As client-go: a command with a slash is relative to the kubeconfig, any other is found by PATH.
  const command = name.includes("/") && !isAbsolute(name) ? join(dirname(config), name) : name;
  const args = (Array.isArray(exec["args"]) ? exec["args"] : []).filter((it) => typeof it === "string");
  const variables = Array.isArray(exec["env"]) ? exec["env"].filter(isObject) : [];
  const request = {
    kind: "ExecCredential",
    apiVersion: text(exec["apiVersion"]),
    spec: { interactive: false },
  };
  const { end, output } = await runCommand(command, args, {
    input: new Uint8Array(),
    environment: {
      ...environment,
      ...Object.fromEntries(variables.map((it) => [text(it["name"]) ?? "", text(it["value"])])),
      KUBERNETES_EXEC_INFO: JSON.stringify(request),
    },
    timeoutMs: LIMITS.apiTimeoutMs,
    outputBytes: LIMITS.kubeconfigBytes,
    errorBytes: 0,
  });
  try {
    if (end.kind !== "exit" || end.code !== 0)
      throw pluginFailed(name, end.kind === "exit" ? `exit code ${end.code}` : end.kind);
    const status = parseJsonObject(output)?.["status"];
    if (!isObject(status)) throw pluginFailed(name, "its answer is not an ExecCredential with a status");
    const { token, clientCertificateData, clientKeyData } = status;
    if (typeof clientCertificateData === "string" && typeof clientKeyData === "string") {
      const key = new Secret(new Uint8Array(Buffer.from(clientKeyData)));
      return { client: { certificate: Buffer.from(clientCertificateData), key } };
    }
    if (typeof token !== "string" || token === "")
      throw pluginFailed(name, "it gave no token and no certificate");
    return { token: new Secret(new Uint8Array(Buffer.from(token))) };
  } finally {
    output.fill(0);
  }
}

function pluginFailed(name: string, why: string): DecoderError {
  return new DecoderError("TENANTS", `the kubeconfig's credential plugin ${name} failed: ${why}`);
}

function trimmed(bytes: Uint8Array<ArrayBuffer>): Secret {
  const token = Buffer.from(bytes).toString("latin1").trim();
  bytes.fill(0);
  return new Secret(new Uint8Array(Buffer.from(token)));
}

function text(value: unknown): string | undefined {
  if (typeof value === "string" && value !== "") return value;
  return typeof value === "boolean" ? String(value) : undefined;
}

function wrong(path: string, why: string): DecoderError {
  return new DecoderError("TENANTS", `${path} can't be used: ${why}`);
}
