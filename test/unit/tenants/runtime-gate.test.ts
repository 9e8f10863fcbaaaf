import { expect, test } from "vitest";
import { parseRuntimeCall } from "../../../src/tenants/runtime-gate.ts";

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
