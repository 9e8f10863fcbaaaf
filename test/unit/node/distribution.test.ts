import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { beforeEach, expect, test } from "vitest";
import {
  distributionOf,
  refuseImmutable,
  refuseMicrok8s,
  unitOf,
  warnForgetful,
} from "../../../src/node/distribution.ts";
import { NodeRoot } from "../../../src/node/node-root.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const folder = temporaryFolder();
let node: NodeRoot;

beforeEach(() => {
  node = new NodeRoot(mkdtempSync(join(folder, "root-")));
});

function write(path: string, text = ""): void {
  mkdirSync(dirname(join(node.folder, path)), { recursive: true });
  writeFileSync(join(node.folder, path), text);
}

test.each([
  ["/var/lib/rancher/k3s/agent/etc/containerd/config.toml", "k3s", true],
  ["/var/lib/rancher/rke2/agent/etc/containerd/config.toml", "RKE2", true],
  ["/etc/k0s/containerd.toml", "k0s", false],
  ["/etc/containerd/config.toml", "containerd", false],
])("a node with %s runs %s, which renders it: %s", (configFile, name, isRendered) => {
  write(configFile);
  expect(distributionOf(node, undefined)).toMatchObject({ name, configFile, isRendered });
  expect(distributionOf(new NodeRoot(folder), configFile)).toMatchObject({ name, configFile, isRendered });
});

test("its service is the one that it has", () => {
  const k3s = distributionOf(node, "/var/lib/rancher/k3s/agent/etc/containerd/config.toml");
  expect(unitOf(node, k3s)).toBe("k3s");
  write("/etc/systemd/system/k3s-agent.service");
  expect(unitOf(node, k3s)).toBe("k3s-agent");
  write("/etc/init.d/k3s");
  expect(unitOf(node, k3s)).toBe("k3s");
});

test.each([
  ["/etc/os-release", "NAME=x\nID=talos\n"],
  ["/usr/lib/os-release", 'ID="bottlerocket"\n'],
  ["/etc/os-release", "ID='nixos'\n"],
])("a system that cannot be changed is refused: %s with %j", (path, text) => {
  write(path, text);
  const [id] = /talos|bottlerocket|nixos/.exec(text) ?? [];
  expect(() => refuseImmutable(node)).toThrow(`the node runs ${id}, whose system files cannot be changed`);
});

test.each(["ID=debian\n", "ID_LIKE=talos\nVARIANT_ID=nixos\n", ""])("%j is changed", (text) => {
  write("/etc/os-release", text);
  expect(() => refuseImmutable(node)).not.toThrow();
  expect([...warnForgetful(node)]).toEqual([]);
});

test("a system that forgets an installation is a warning", () => {
  write("/etc/os-release", "ID=cos\n");
  mkdirSync(join(node.folder, "kind"));
  expect([...warnForgetful(node)].map(({ severity, message }) => [severity, message])).toEqual([
    ["warning", expect.stringMatching(/^Container-Optimized OS /)],
    ["warning", expect.stringMatching(/^this is a node of kind: /)],
  ]);
});

test("microk8s is refused, unless another containerd is meant", () => {
  mkdirSync(join(node.folder, "var/snap/microk8s/current"), { recursive: true });
  expect(() => refuseMicrok8s(node, undefined)).toThrow(/^microk8s rewrites/);
  expect(() => refuseMicrok8s(node, "/var/snap/microk8s/current/args/containerd.toml")).toThrow();
  expect(() => refuseMicrok8s(node, "/etc/containerd/config.toml")).not.toThrow();
  write("/etc/containerd/config.toml");
  expect(() => refuseMicrok8s(node, undefined)).not.toThrow();
});
