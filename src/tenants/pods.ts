import { isObject, type JsonObject } from "../encoding/json.ts";

/** What matters of a Pod: who it is, what it runs, which Secrets it names. */
export interface Pod {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  /** UID that the kubelet gives a static Pod, whose own in the API server is that of its mirror. */
  readonly configHash?: string;
  /** Repositories of all its images, as `repositoryOf` writes them. */
  readonly repositories: ReadonlySet<string>;
  /** Names of imagePullSecrets, which share the Pod's namespace. */
  readonly secrets: readonly string[];
  /** Whether it may still pull: neither finished nor with all containers running. */
  readonly isWaiting: boolean;
}

/** Volumes' and containers' lists in a Pod's spec. */
const CONTAINERS = ["containers", "initContainers", "ephemeralContainers"];
const STATUSES = ["containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"];
const FINISHED = new Set(["Succeeded", "Failed"]);

/** @returns undefined for what is not a Pod */
export function parsePod(object: JsonObject): Pod | undefined {
  const { metadata, spec, status } = object;
  if (!isObject(metadata) || !isObject(spec)) return undefined;
  const [namespace, name, uid] = [metadata["namespace"], metadata["name"], metadata["uid"]].map(String);
  if (namespace === undefined || name === undefined || uid === undefined) return undefined;
  const annotations = isObject(metadata["annotations"]) ? metadata["annotations"] : {};
  const configHash = annotations["kubernetes.io/config.hash"];
  const images = [
    ...CONTAINERS.flatMap((field) => objects(spec[field])).map((it) => it["image"]),
    // KEP-4639: image volumes.
    ...objects(spec["volumes"]).map((it) => (isObject(it["image"]) ? it["image"]["reference"] : undefined)),
  ];
  return {
    namespace,
    name,
    uid,
    ...(typeof configHash === "string" &&
      annotations["kubernetes.io/config.mirror"] !== undefined && { configHash }),
    repositories: new Set(images.flatMap((it) => (typeof it === "string" ? repositoryOf(it) : []))),
    secrets: objects(spec["imagePullSecrets"]).flatMap((it) =>
      typeof it["name"] === "string" ? it["name"] : [],
    ),
    isWaiting: isWaiting(isObject(status) ? status : {}),
  };
}

/** A container that has no status yet waits, too: the kubelet writes it after the pull. */
function isWaiting(status: JsonObject): boolean {
  if (FINISHED.has(String(status["phase"]))) return false;
  const states = STATUSES.flatMap((field) => objects(status[field])).map((it) => it["state"]);
  return (
    states.length === 0 ||
    status["phase"] === "Pending" ||
    states.some((it) => isObject(it) && it["waiting"] !== undefined)
  );
}

/**
 * The repository of an image reference as containerd labels its blobs: the host without its port, Docker Hub's names in
 * full. `busybox:1` → `docker.io/library/busybox`, `reg:5000/a/b@sha256:…` → `reg/a/b`.
 */
export function repositoryOf(image: string): string {
  const plain = image.replace(/@.*$/s, "");
  const slash = plain.indexOf("/");
  const first = slash === -1 ? "" : plain.slice(0, slash);
  const isHost = /[.:]/.test(first) || first === "localhost" || first !== first.toLowerCase();
  const [host, path] = isHost ? [first, plain.slice(slash + 1)] : ["docker.io", plain];
  const untagged = path.replace(/:[^/:]*$/, "");
  const full = host === "docker.io" && !untagged.includes("/") ? `library/${untagged}` : untagged;
  return `${withoutPort(host === "index.docker.io" ? "docker.io" : host)}/${full}`;
}

/** containerd writes the host of `containerd.io/distribution.source.HOST` without a port. */
function withoutPort(host: string): string {
  return host.replace(/:\d+$/, "");
}

function objects(value: unknown): JsonObject[] {
  return Array.isArray(value) ? value.filter(isObject) : [];
}
