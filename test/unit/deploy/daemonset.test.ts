import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { INSTALL } from "../../../src/cli/commands/install.ts";
import { parseArguments } from "../../../src/cli/parse.ts";
import { KEYS_PATH } from "../../../src/containerd/stream-processors.ts";
import { PROJECT } from "../../support/peers.ts";
import { DAEMON_SET, problems } from "./kubernetes.ts";

interface Container {
  readonly name: string;
  readonly image: string;
  readonly command?: readonly string[];
  readonly args?: readonly string[];
  readonly securityContext?: object;
  readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string }[];
}

interface DaemonSet {
  readonly metadata: { readonly labels: object };
  readonly spec: {
    readonly selector: { readonly matchLabels: object };
    readonly template: {
      readonly metadata: { readonly labels: object };
      readonly spec: {
        readonly initContainers: readonly Container[];
        readonly containers: readonly Container[];
        readonly volumes: readonly {
          readonly name: string;
          readonly hostPath?: { readonly path: string };
          readonly secret?: { readonly defaultMode: number };
        }[];
      };
    };
  };
}

const text = readFileSync(join(PROJECT, "deploy/daemonset.yaml"), "utf8");
// Kubernetes reads YAML 1.1, where 0400 is octal.
const read = (source = text): DaemonSet => parse(source, { version: "1.1" });

describe("deploy/daemonset.yaml", () => {
  const { spec } = read();
  const pod = spec.template.spec;
  const containers = [...pod.initContainers, ...pod.containers];

  test("is what Kubernetes' API takes", () => {
    expect(problems(read(), DAEMON_SET)).toEqual([]);
  });

  test.each<[string, string, string]>([
    ["hostPath:", "hostpath:", "spec.template.spec.volumes[0].hostpath: unknown field"],
    [
      "privileged: true",
      'privileged: "true"',
      "spec.template.spec.initContainers[0].securityContext.privileged: no boolean",
    ],
    ["apps/v1", "apps/v1beta1", "apiVersion: none of apps/v1"],
    [
      "type: Directory\n",
      "type: Folder\n",
      expect.stringMatching(/^spec\.template\.spec\.volumes\[0\]\.hostPath\.type: none of/),
    ],
    [
      "memory: 64Mi",
      "memory: 64 MB",
      "spec.template.spec.initContainers[0].resources.requests.memory: no quantity",
    ],
    ["      containers:", "      conteners:", "spec.template.spec.containers: missing"],
  ])("with %j changed to %j it would not be", (from, to, problem) => {
    expect(text).toContain(from);
    expect(problems(read(text.replace(from, to)), DAEMON_SET)).toContainEqual(problem);
  });

  test("selects its own pods, and mounts its own volumes, all of them", () => {
    expect(spec.template.metadata.labels).toEqual(spec.selector.matchLabels);
    const mounted = new Set(containers.flatMap(({ volumeMounts }) => volumeMounts.map(({ name }) => name)));
    expect([...mounted].sort()).toEqual(pod.volumes.map(({ name }) => name).sort());
    expect(new Set(containers.map(({ image }) => image)).size).toBe(1);
  });

  test("keys are for their owner alone", () => {
    expect(pod.volumes.find(({ name }) => name === "keys")?.secret?.defaultMode).toBe(0o400);
  });

  test("calls install with options that it has and folders that are mounted, without a shell", () => {
    for (const { command, args = [], volumeMounts } of containers) {
      expect(command).toBeUndefined();
      const [name, ...words] = args;
      expect(name).toBe(INSTALL.name);
      const parsed = parseArguments(INSTALL, words);
      const mounts = volumeMounts.map(({ mountPath }) => mountPath);
      expect(mounts).toContain(parsed.text("keys"));
      expect(mounts.some((path) => path.startsWith(parsed.text("root") ?? "?"))).toBe(true);
    }
  });

  test("the container that runs on sees the keys folder only, and has no rights", () => {
    const [container] = pod.containers;
    const hostPaths = pod.volumes.flatMap(({ name, hostPath }) =>
      hostPath ? [{ name, path: hostPath.path }] : [],
    );
    const mounted = container?.volumeMounts.map(({ name }) => name) ?? [];
    expect(hostPaths.filter(({ name }) => mounted.includes(name)).map(({ path }) => path)).toEqual([
      KEYS_PATH,
    ]);
    expect(container?.securityContext).toMatchObject({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ["ALL"] },
    });
    expect(container?.securityContext).not.toHaveProperty("privileged");
  });
});
