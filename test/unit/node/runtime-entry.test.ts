import { mkdtempSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { NodeRoot } from "../../../src/node/node-root.ts";
import { bundles, containersThrough, renderEntry, runtimeBehind } from "../../../src/node/runtime-entry.ts";
import { put } from "../../support/node-root.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const base = temporaryFolder();

test("the runtime behind an entry is found, and nothing behind another script", () => {
  const node = new NodeRoot(mkdtempSync(join(base, "root-")));
  put(node.folder, "/entry", renderEntry({ gate: "/g", runtime: "/opt/it's/runc" }));
  put(node.folder, "/other", "#!/bin/sh\nmy_runtime='/bin/runc'\nruntime='/bin/runc' exec\n");
  expect([
    runtimeBehind(node, "/entry"),
    runtimeBehind(node, "/other"),
    runtimeBehind(node, "/none"),
  ]).toEqual(["/opt/it's/runc", undefined, undefined]);
});

test("containers are listed with the runtime that their shims call", () => {
  const node = new NodeRoot(mkdtempSync(join(base, "root-")));
  const tasks = "/run/containerd/io.containerd.runtime.v2.task";
  put(node.folder, `${tasks}/k8s.io/a/runtime`, "/gate");
  put(node.folder, `${tasks}/k8s.io/b/runtime`, "/bin/runc");
  put(node.folder, `${tasks}/moby/c/other`, "");
  expect(bundles(node)).toEqual([
    ["k8s.io/a", "/gate"],
    ["k8s.io/b", "/bin/runc"],
  ]);
  expect(containersThrough(node, "/gate")).toEqual(["k8s.io/a"]);
});
