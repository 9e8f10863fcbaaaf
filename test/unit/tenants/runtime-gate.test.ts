import { mkdtempSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { guardRuntime, parseRuntimeCall } from "../../../src/tenants/runtime-gate.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const GLOBAL = ["--root", "/run/containerd/runc/k8s.io", "--log", "/l/log.json", "--log-format", "json"];

test.each([
  [
    "as containerd 2.1 does",
    [
      ...GLOBAL,
      "--systemd-cgroup",
      "create",
      "--bundle",
      "/b",
      "--pid-file",
      "/p",
      "--console-socket",
      "/c",
      "id",
    ],
  ],
  [
    "with equals signs",
    ["--root=/run/containerd/runc/k8s.io", "--log=/l/log.json", "create", "--bundle=/b", "id"],
  ],
  ["with short flags", [...GLOBAL, "create", "-b", "/b", "--no-pivot", "id"]],
])("create is understood %s", (_what, args) => {
  expect(parseRuntimeCall(args, "/cwd")).toEqual({
    bundle: "/b",
    containerId: "id",
    namespace: "k8s.io",
    log: "/l/log.json",
  });
});

test.each(["run", "restore"])("%s starts a container, too, in the working directory's bundle", (command) => {
  expect(parseRuntimeCall([...GLOBAL, command, "id"], "/cwd")).toMatchObject({
    bundle: "/cwd",
    containerId: "id",
  });
});

test.each([
  ["start", [...GLOBAL, "start", "id"]],
  ["state", [...GLOBAL, "state", "id"]],
  ["delete", [...GLOBAL, "delete", "--force", "id"]],
  ["--version", ["--version"]],
])("%s starts none", (_what, args) => {
  expect(parseRuntimeCall(args, "/cwd")).toBeUndefined();
});

test.each([
  ["no container", [...GLOBAL, "create"]],
  ["two containers", [...GLOBAL, "create", "a", "b"]],
  ["a flag with a value that hides the command", ["--new-flag", "value", "create", "id"]],
])("%s is refused", (_what, args) => {
  expect(() => parseRuntimeCall(args, "/cwd")).toThrow(expect.objectContaining({ code: "TENANTS" }));
});

const folder = temporaryFolder();

/** Decides about a container of a node without sealed layers. */
async function guard(config: string): Promise<string> {
  const bundle = mkdtempSync(join(folder, "bundle-"));
  writeFileSync(join(bundle, "config.json"), config);
  const call = { bundle, containerId: "id", namespace: "k8s.io" };
  const settings = {
    containerdRoot: bundle,
    sealedDirectory: join(bundle, "sealed"),
    verdictDirectory: join(bundle, "verdicts"),
    sharesNodeLayers: true,
    exemptNamespaces: new Set<string>(),
  };
  const schemes = { environment: {}, providerTimeoutMs: 1000, providerLegacyDc: false, verbose: false };
  return await guardRuntime(call, settings, schemes).then(
    () => "allowed",
    ({ message }) => message,
  );
}

test("1,024 mounts of a container are looked at, and more are refused", async () => {
  const mounts = (count: number) => JSON.stringify({ mounts: Array(count).fill({ source: "/x" }) });
  expect(await guard(mounts(1024))).not.toMatch(/can't be understood/);
  expect(await guard(mounts(1025))).toMatch(/can't be understood/);
});

test("4 MiB of a container's configuration are read, and no more", async () => {
  expect(await guard("{}".padEnd(4_194_304))).not.toMatch(/can't read .*config.json/);
  expect(await guard("{}".padEnd(4_194_305))).toMatch(/can't read .*config.json/);
});
