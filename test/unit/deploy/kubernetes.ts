/**
 * The part of Kubernetes' API (v1.34: apps/v1 DaemonSet and what it is made of) that an installer may want, as strict as
 * `kubectl --validate=strict`: a field that is not named here, or has another type, is wrong.
 */
export type Schema =
  | "string"
  | "integer"
  | "boolean"
  | "quantity"
  | { readonly oneOf: readonly string[] }
  | { readonly list: Schema }
  | { readonly map: Schema }
  | { readonly fields: Readonly<Record<string, Schema>>; readonly required: readonly string[] };

const strings: Schema = { list: "string" };
const stringMap: Schema = { map: "string" };

function object(fields: Readonly<Record<string, Schema>>, ...required: string[]): Schema {
  return { fields, required };
}

const METADATA = object({ name: "string", namespace: "string", labels: stringMap, annotations: stringMap });

const RESOURCES = object({ requests: { map: "quantity" }, limits: { map: "quantity" } });

const SECURITY_CONTEXT = object({
  allowPrivilegeEscalation: "boolean",
  capabilities: object({ add: strings, drop: strings }),
  privileged: "boolean",
  readOnlyRootFilesystem: "boolean",
  runAsGroup: "integer",
  runAsNonRoot: "boolean",
  runAsUser: "integer",
  seccompProfile: object({ type: { oneOf: ["RuntimeDefault", "Unconfined", "Localhost"] } }, "type"),
});

const VOLUME_MOUNT = object(
  {
    mountPath: "string",
    mountPropagation: { oneOf: ["None", "HostToContainer", "Bidirectional"] },
    name: "string",
    readOnly: "boolean",
    subPath: "string",
  },
  "mountPath",
  "name",
);

const CONTAINER = object(
  {
    args: strings,
    command: strings,
    env: { list: object({ name: "string", value: "string" }, "name") },
    image: "string",
    imagePullPolicy: { oneOf: ["Always", "IfNotPresent", "Never"] },
    name: "string",
    resources: RESOURCES,
    securityContext: SECURITY_CONTEXT,
    volumeMounts: { list: VOLUME_MOUNT },
    workingDir: "string",
  },
  "name",
  "image",
);

const HOST_PATH_TYPES = [
  "DirectoryOrCreate",
  "Directory",
  "FileOrCreate",
  "File",
  "Socket",
  "CharDevice",
  "BlockDevice",
];

const VOLUME = object(
  {
    emptyDir: object({ medium: "string", sizeLimit: "quantity" }),
    hostPath: object({ path: "string", type: { oneOf: HOST_PATH_TYPES } }, "path"),
    name: "string",
    secret: object({
      defaultMode: "integer",
      items: { list: object({ key: "string", path: "string", mode: "integer" }, "key", "path") },
      optional: "boolean",
      secretName: "string",
    }),
  },
  "name",
);

const TOLERATION = object({
  effect: { oneOf: ["NoSchedule", "PreferNoSchedule", "NoExecute"] },
  key: "string",
  operator: { oneOf: ["Exists", "Equal"] },
  tolerationSeconds: "integer",
  value: "string",
});

const POD_SPEC = object(
  {
    automountServiceAccountToken: "boolean",
    containers: { list: CONTAINER },
    hostNetwork: "boolean",
    hostPID: "boolean",
    initContainers: { list: CONTAINER },
    nodeSelector: stringMap,
    priorityClassName: "string",
    serviceAccountName: "string",
    terminationGracePeriodSeconds: "integer",
    tolerations: { list: TOLERATION },
    volumes: { list: VOLUME },
  },
  "containers",
);

export const DAEMON_SET = object(
  {
    apiVersion: { oneOf: ["apps/v1"] },
    kind: { oneOf: ["DaemonSet"] },
    metadata: METADATA,
    spec: object(
      {
        minReadySeconds: "integer",
        revisionHistoryLimit: "integer",
        selector: object({ matchLabels: stringMap }),
        template: object({ metadata: METADATA, spec: POD_SPEC }),
        updateStrategy: object({
          rollingUpdate: object({ maxSurge: "quantity", maxUnavailable: "quantity" }),
          type: { oneOf: ["RollingUpdate", "OnDelete"] },
        }),
      },
      "selector",
      "template",
    ),
  },
  "apiVersion",
  "kind",
  "metadata",
  "spec",
);

/** apimachinery's resource.Quantity; a plain number is one too. */
const QUANTITY = /^[0-9]+(\.[0-9]+)?(m|[kMGTPE]|[KMGTPE]i)?%?$/;

/** What of a value the schema does not allow: "spec.template.spec.volumes[0].hostpath: unknown field". */
export function problems(value: unknown, schema: Schema, path = ""): string[] {
  const wrong = (what: string) => [`${path || "document"}: ${what}`];
  if (typeof schema === "string") return isScalar(value, schema) ? [] : wrong(`no ${schema}`);
  if ("oneOf" in schema)
    return schema.oneOf.includes(value as string) ? [] : wrong(`none of ${schema.oneOf.join(", ")}`);
  if ("list" in schema) {
    if (!Array.isArray(value)) return wrong("no list");
    return value.flatMap((item, i) => problems(item, schema.list, `${path}[${i}]`));
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) return wrong("no object");
  const at = (name: string) => (path === "" ? name : `${path}.${name}`);
  if ("map" in schema)
    return Object.entries(value).flatMap(([name, item]) => problems(item, schema.map, at(name)));
  const missing = schema.required.filter((name) => !(name in value)).map((name) => `${at(name)}: missing`);
  const fields = Object.entries(value).flatMap(([name, item]) => {
    const field = schema.fields[name];
    return field === undefined ? [`${at(name)}: unknown field`] : problems(item, field, at(name));
  });
  return [...missing, ...fields];
}

function isScalar(value: unknown, type: "string" | "integer" | "boolean" | "quantity"): boolean {
  if (type === "integer") return Number.isSafeInteger(value);
  if (type === "quantity")
    return (typeof value === "string" || typeof value === "number") && QUANTITY.test(String(value));
  return typeof value === type;
}
