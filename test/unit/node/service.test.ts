import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { NodeRoot } from "../../../src/node/node-root.ts";
import { restartOrUndo } from "../../../src/node/restart.ts";
import { Service } from "../../../src/node/service.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const base = temporaryFolder();
let [folder, bin] = ["", ""];
let service: Service;

beforeEach(() => {
  folder = mkdtempSync(join(base, "root-"));
  bin = mkdtempSync(join(base, "bin-"));
  service = new Service(new NodeRoot(folder), "containerd", { PATH: `${bin}:/usr/bin:/bin` });
});

/** What the node's service manager does with the arguments "$@". */
function manager(script: string): void {
  const lines = [
    "#!/bin/sh",
    'while [ "$1" != -- ]; do shift; done; shift',
    `echo "$*" >>${bin}/calls`,
    script,
  ];
  writeFileSync(join(bin, "nsenter"), `${lines.join("\n")}\n`);
  chmodSync(join(bin, "nsenter"), 0o755);
}

const calls = () =>
  existsSync(join(bin, "calls")) ? readFileSync(join(bin, "calls"), "utf8").trim().split("\n") : [];

describe("systemd", () => {
  test("shows whether the service exists", async () => {
    manager("echo loaded");
    await expect(service.check()).resolves.toBeUndefined();
    expect(calls()).toEqual(["systemctl show --property=LoadState --value containerd.service"]);
    manager("echo not-found");
    await expect(service.check()).rejects.toMatchObject({
      code: "NOT_FOUND",
      message: "the node has no service containerd",
    });
    manager("exit 1");
    await expect(service.check()).rejects.toMatchObject({
      code: "UNHEALTHY",
      hint: expect.stringContaining("systemctl restart containerd"),
    });
  });

  test("restarts it, or says why not", async () => {
    manager("exit 0");
    expect([await service.restart(), await service.isRunning()]).toEqual([undefined, true]);
    expect(calls()).toEqual(["systemctl restart containerd", "systemctl is-active --quiet containerd"]);
    manager("echo 'Job failed.' >&2; exit 1");
    expect([await service.restart(), await service.isRunning()]).toEqual(["Job failed.", false]);
    manager("exit 1");
    expect(await service.restart()).toBe("`systemctl restart containerd` failed");
  });
});

test("OpenRC has its own commands and messages", async () => {
  mkdirSync(join(folder, "sbin"));
  writeFileSync(join(folder, "sbin/openrc-run"), "");
  manager("printf ' * WARNING: x\\n * ERROR: containerd failed to start\\n' >&2; exit 1");
  expect(await service.restart()).toBe("ERROR: containerd failed to start");
  expect([await service.isRunning(), service.restartCommand]).toEqual([
    false,
    "rc-service containerd restart",
  ]);
  expect(calls()).toEqual(["rc-service containerd restart", "rc-service containerd status"]);
});

describe("after changes, containerd", () => {
  async function restarted(options = { isNeeded: true, isWanted: true }, problem?: string) {
    const done: unknown[] = [];
    const transaction = {
      finish: async (isPending: boolean) => void done.push(isPending ? "pending" : "finished"),
      rollBack: async () => {
        done.push("rolled back");
        return problem;
      },
    };
    const result = await restartOrUndo(service, transaction, options).catch(({ message }) => message);
    return [result, ...done];
  }

  test("is restarted if that is needed and wanted", async () => {
    manager("exit 0");
    expect(await restarted()).toEqual(["done", "finished"]);
    expect(calls()).toHaveLength(2);
    expect(await restarted({ isNeeded: false, isWanted: true })).toEqual(["not needed", "finished"]);
    expect(await restarted({ isNeeded: true, isWanted: false })).toEqual(["pending", "pending"]);
    expect(calls()).toHaveLength(2);
  });

  test("keeps them if it was not restarted but runs", async () => {
    manager("case $2 in restart) echo busy >&2; exit 1 ;; esac");
    expect(await restarted()).toEqual([
      "containerd was not restarted, and runs with its old configuration: busy",
      "pending",
    ]);
  });

  test("loses them if it does not start with them", async () => {
    const once = `[ -e ${bin}/again ] && exit 0; case $2 in is-active) touch ${bin}/again ;; esac; exit 1`;
    manager(once);
    expect(await restarted()).toEqual([
      "containerd did not start with the new configuration and runs with the old one again; everything was undone",
      "rolled back",
    ]);
    manager("echo broken >&2; exit 1");
    expect(await restarted(undefined, "the disk is full")).toEqual([
      "containerd did not start with the new configuration and does not start with the old one either: broken; not everything was undone: the disk is full",
      "rolled back",
    ]);
  });
});
