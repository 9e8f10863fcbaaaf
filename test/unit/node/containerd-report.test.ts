import { mkdirSync, mkdtempSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { findContainerd, pendingRestart } from "../../../src/node/containerd-report.ts";
import type { Finding } from "../../../src/node/finding.ts";
import { NodeRoot } from "../../../src/node/node-root.ts";
import { NOTHING_INSTALLED, writeRecord } from "../../../src/node/record.ts";
import { put } from "../../support/node-root.ts";
import { procFolder } from "../../support/proc.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const folder = temporaryFolder();

describe("the containerd that a report is about", () => {
  const found = (processes: Parameters<typeof procFolder>[1], configFile?: string) => {
    const findings: Finding[] = [];
    return { pid: findContainerd(configFile, findings, procFolder(folder, processes))?.pid, findings };
  };
  const asUser = (id: number) => {
    vi.spyOn(process, "getuid").mockReturnValue(id);
    onTestFinished(() => void vi.restoreAllMocks());
  };
  const started = (config: string) => ({ args: ["--config", config] });

  test("runs with the configuration that is named, or is the only one", () => {
    const processes = { "10": started("/a.toml"), "11": started("/b.toml") };
    expect(found(processes, "/b.toml")).toEqual({ pid: 11, findings: [] });
    expect(found({ "10": started("/a.toml") })).toEqual({ pid: 10, findings: [] });
  });

  test("is the first of several, and the others are mentioned", () => {
    const processes = { "10": started("/a.toml"), "11": started("/b.toml"), "12": started("/c.toml") };
    const two = { "10": started("/a.toml"), "11": started("/b.toml") };
    expect(found(two).findings).toMatchObject([
      { hint: expect.stringMatching(/ with --config: \/b\.toml$/) },
    ]);
    expect(found(processes)).toEqual({
      pid: 10,
      findings: [
        {
          severity: "note",
          message: "several containerds are running; this report is about process 10",
          hint: "name the configuration of another with --config: /b.toml, /c.toml",
        },
      ],
    });
  });

  test("is missed if there is none, or none with the configuration", () => {
    asUser(0);
    const missed = {
      severity: "warning",
      message: "found no running containerd that shares this process's files",
    };
    expect(found({})).toEqual({ pid: undefined, findings: [missed] });
    expect(found({ "10": started("/a.toml") }, "/b.toml")).toEqual({ pid: undefined, findings: [missed] });
  });

  test("may be missed by another user than root, who is told so", () => {
    asUser(1234);
    expect(found({})).toMatchObject({ findings: [{ hint: expect.stringMatching(/^run it as root/) }] });
  });

  test("is not in another file system, to which a hint leads", () => {
    const elsewhere = { "9": { ...started("/a.toml"), mnt: "mnt:[2]" } };
    expect(found(elsewhere)).toMatchObject({
      pid: undefined,
      findings: [{ hint: expect.stringMatching(/^process 9 runs in another file system: nsenter -t 9 /) }],
    });
    expect(found({ ...elsewhere, "10": started("/b.toml") })).toEqual({ pid: 10, findings: [] });
    const hint = expect.stringMatching(/^process 9 /);
    expect(found({ ...elsewhere, "8": started("/a.toml") }, "/c.toml").findings).toMatchObject([{ hint }]);
  });
});

describe("a running containerd needs a restart", () => {
  const START_MS = 1_000_000;
  const [CONFIG, DROP_IN] = ["/var/lib/rancher/k3s/agent/etc/containerd/config.toml", "/etc/drop-in.toml"];
  let node: NodeRoot;
  beforeEach(() => {
    node = new NodeRoot(mkdtempSync(join(folder, "root-")));
    for (const path of [CONFIG, DROP_IN]) {
      put(node.folder, path, "");
      changedAt(path, START_MS);
    }
  });
  const changedAt = (path: string, ms: number) => utimesSync(node.follow(path), ms / 1000, ms / 1000);
  const said = (running: object | undefined, ...more: string[]) => {
    const files = [CONFIG, DROP_IN, ...more].map((path) => ({ path }));
    const config = { files } as unknown as Parameters<typeof pendingRestart>[1];
    return [...pendingRestart(running as Parameters<typeof pendingRestart>[0], config, node)];
  };
  const running = { pid: 10, started: { earliest: START_MS - 10, latest: START_MS } };

  test("if a file changed after its start", () => {
    expect(said(running)).toEqual([]);
    changedAt(DROP_IN, START_MS + 1);
    expect(said(running)).toEqual([
      {
        severity: "error",
        message: `containerd (process 10) started before ${DROP_IN} changed, and still uses the old configuration`,
        hint: "restart it by `ctd-decoder install --restart`, or `systemctl restart k3s`",
      },
    ]);
    changedAt(CONFIG, START_MS + 1);
    expect(said(running)[0]?.message).toContain(`started before ${CONFIG}, ${DROP_IN} changed`);
  });

  test("not for a file that is gone, or without a time of its start", () => {
    expect(said({ ...running, started: { earliest: START_MS, latest: START_MS } }, "/none")).toEqual([]);
    for (const path of [CONFIG, DROP_IN]) changedAt(path, 0);
    expect(said({ pid: 10, started: { earliest: 0, latest: 0 } }, "/none")).toEqual([]);
    expect(said({ pid: 10 })).toEqual([]);
    expect(said(undefined)).toEqual([]);
  });

  test("if an installation waits for it", async () => {
    await writeRecord(node, { ...NOTHING_INSTALLED, pendingSince: START_MS });
    expect(said(running)).toMatchObject([
      {
        severity: "error",
        message: "containerd (process 10) was not restarted since ctd-decoder was installed",
        hint: expect.stringMatching(/`systemctl restart k3s`$/),
      },
    ]);
    await writeRecord(node, { ...NOTHING_INSTALLED, pendingSince: START_MS - 11 });
    expect(said(running)).toEqual([]);
  });

  test("not for an installation whose record cannot be read", () => {
    mkdirSync(join(node.folder, "var/lib/ctd-decoder/install.json"), { recursive: true });
    expect(said(running)).toEqual([]);
  });
});
