import { mkdtempSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { NodeRoot } from "../../../src/node/node-root.ts";
import { type InstalledFile, NOTHING_INSTALLED } from "../../../src/node/record.ts";
import { renderEntry, renderPassage } from "../../../src/node/runtime-entry.ts";
import { settingsFile, wantedTenants } from "../../../src/node/tenants-plan.ts";
import { put } from "../../support/node-root.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const base = temporaryFolder();
const SETTINGS = "/etc/containerd/ctd-decoder/tenants.toml";
const USUAL = "/var/lib/kubelet/kubeconfig";
let node: NodeRoot;

beforeEach(() => {
  node = new NodeRoot(mkdtempSync(join(base, "root-")));
});

const file = (path: string, text: string) => put(node.folder, path, text);

describe("tenants are wanted", () => {
  const installed = (path: string, kind: InstalledFile["kind"]): InstalledFile => ({
    path,
    kind,
    sha256: "",
  });
  const isWanted = (...files: InstalledFile[]) =>
    wantedTenants(node, { ...NOTHING_INSTALLED, files }, undefined) !== undefined;

  test("if an earlier installation put a gate before a runtime", () => {
    file(USUAL, "");
    file("/gate", renderEntry({ gate: "/ctd-decoder", runtime: "/runc" }));
    file("/passage", renderPassage("/runc"));
    const [gate, passage] = [installed("/gate", "entry"), installed("/passage", "entry")];
    expect(isWanted(installed("/config", "config"), gate)).toBe(true);
    expect(isWanted()).toBe(false);
    expect(isWanted(passage)).toBe(false);
    expect(isWanted(installed("/gate", "program"))).toBe(false);
  });

  test("only on a node with a kubelet", () => {
    expect(() => wantedTenants(node, NOTHING_INSTALLED, {})).toThrow(
      /^the node has no kubeconfig of a kubelet: \/\S+, \/.+$/,
    );
    expect(() => wantedTenants(node, NOTHING_INSTALLED, { kubeconfig: "/typo" })).toThrow(
      /^no such file on the node: \/typo, the kubelet's kubeconfig$/,
    );
    file(USUAL, "");
    expect(wantedTenants(node, NOTHING_INSTALLED, {})).toBeDefined();
  });
});

describe("the decoder's flags for tenants", () => {
  const sealed = ["sealed-dir", "/var/lib/ctd-decoder/sealed"];
  const flags = (options: Parameters<typeof wantedTenants>[2]) => [
    ...(wantedTenants(node, NOTHING_INSTALLED, options)?.flags ?? []),
  ];

  test("name only what is not at a usual place", () => {
    for (const path of [USUAL, "/k", "/mine"]) file(path, "");
    expect(flags({})).toEqual([["tenant-keys", "kubelet"], sealed]);
    expect(flags({ kubeconfig: "/k", nodeName: "n" })).toEqual([
      ["tenant-keys", "kubelet"],
      sealed,
      ["kubeconfig", "/k"],
      ["node-name", "n"],
    ]);
  });

  test("follow an operator's settings", () => {
    for (const path of ["/k", "/mine"]) file(path, "");
    file(SETTINGS, 'kubeconfig = "/mine"\nsealed_dir = "/sealed"\n');
    const wanted = wantedTenants(node, NOTHING_INSTALLED, {});
    expect([...(wanted?.flags ?? [])]).toEqual([
      ["tenant-keys", "kubelet"],
      ["sealed-dir", "/sealed"],
      ["kubeconfig", "/mine"],
    ]);
    expect(wanted?.settings).toMatchObject({ kubeconfig: "/mine", sealedDirectory: "/sealed" });
    expect(wantedTenants(node, NOTHING_INSTALLED, { kubeconfig: "/k" })?.settings.kubeconfig).toBe("/k");
  });
});

test("layers from before are mentioned until the node seals layers", () => {
  file(USUAL, "");
  expect(wantedTenants(node, NOTHING_INSTALLED, {})?.findings).toMatchObject([{ severity: "note" }]);
  file("/var/lib/ctd-decoder/sealed/x", "");
  expect(wantedTenants(node, NOTHING_INSTALLED, {})?.findings).toEqual([]);
});

describe("the file of settings", () => {
  const planned = (kubeconfig: string | undefined, root: string) => {
    file(USUAL, "");
    if (kubeconfig !== undefined) file(kubeconfig, "");
    const options = kubeconfig === undefined ? {} : { kubeconfig };
    const settings = wantedTenants(node, NOTHING_INSTALLED, options)?.settings;
    if (settings === undefined) throw new Error("no tenants");
    return settingsFile(node, settings, root);
  };
  const textOf = ([change]: ReturnType<typeof settingsFile>) =>
    change !== undefined && "text" in change.content ? change.content.text : undefined;

  test("is written for what differs from the defaults", () => {
    expect(planned(undefined, "/var/lib/containerd")).toEqual([]);
    const both = planned("/k", "/data");
    expect(both).toMatchObject([{ path: SETTINGS, kind: "drop-in" }]);
    expect(textOf(both)).toMatch(/^# .*\nkubeconfig = "\/k"\ncontainerd_root = "\/data"\n$/);
    expect(textOf(planned("/k", "/var/lib/containerd"))).toMatch(/^# .*\nkubeconfig = "\/k"\n$/);
    expect(textOf(planned(undefined, "/data"))).toMatch(/^# .*\ncontainerd_root = "\/data"\n$/);
  });

  test("of an operator stays, if it names the same folder as containerd's configuration", () => {
    file(SETTINGS, 'containerd_root = "/data"\n');
    expect(planned("/k", "/data")).toEqual([]);
    expect(() => planned("/k", "/other")).toThrow(
      /says that containerd's data are in \/data, and its configuration \/other$/,
    );
  });
});
