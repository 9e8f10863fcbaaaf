import { mkdtempSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { install, installKeys } from "../../../src/node/install.ts";
import { Nodes, put, snapshot } from "../../support/node-root.ts";
import { busybox, describeWith, root } from "../../support/peers.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const CONFIG = "etc/containerd/config.toml";
const DROP_IN = "/etc/containerd/ctd-decoder.toml";

describeWith([busybox, root], "install", {}, () => {
  const folder = temporaryFolder();
  const nodes = new Nodes(folder);
  const options = (node: string, isDryRun: boolean) => ({
    root: node,
    binary: nodes.program,
    version: { major: 1, minor: 7, patch: 24 },
    restart: false,
    isDryRun,
    environment: nodes.environment,
  });

  test("as a dry run reports every change, with its text, and makes none", async () => {
    const node = nodes.make({ [CONFIG]: "version = 2\n" });
    const before = snapshot(node);
    const { files, isDryRun, restart } = await install(options(node, true));
    expect(snapshot(node)).toEqual(before);
    expect([isDryRun, restart]).toEqual([true, "pending"]);
    expect(files).toEqual([
      { path: DROP_IN, isChanged: true, diff: expect.stringContaining("+[stream_processors") },
      { path: `/${CONFIG}`, isChanged: true, diff: expect.stringContaining(`+imports = ["${DROP_IN}"]`) },
      { path: "/usr/local/bin/ctd-decoder", isChanged: true },
    ]);
  });

  test("makes the changes once", async () => {
    const node = nodes.make({ [CONFIG]: "version = 2\n" });
    const first = await install(options(node, false));
    expect([first.isDryRun, first.restart, first.files.map(({ isChanged }) => isChanged)]).toEqual([
      false,
      "pending",
      [true, true, true],
    ]);
    const installed = snapshot(node);
    const { files } = await install(options(node, true));
    expect(files.every(({ isChanged }) => !isChanged)).toBe(true);
    await install(options(node, false));
    expect(snapshot(node)).toEqual(installed);
  });

  test("that fails changes nothing", async () => {
    const node = nodes.make({ [CONFIG]: "version = 2\n" });
    const before = snapshot(node);
    const binary = nodes.write("failing", "#!/bin/busybox sh\nexit 3\n");
    for (const isDryRun of [true, false])
      await expect(install({ ...options(node, isDryRun), binary })).rejects.toMatchObject({
        code: "UNHEALTHY",
      });
    expect(snapshot(node)).toEqual(before);
  });

  test("copies keys, replaces an edited file, and removes what a killed one left", async () => {
    const node = nodes.make({ [CONFIG]: "version = 2\n" });
    const keys = nodes.make({ "a.pem": "a" });
    const key = "etc/containerd/ocicrypt/keys/a.pem";
    expect((await install({ ...options(node, true), keys })).keys?.copied).toEqual(["a.pem"]);
    expect(snapshot(node)[key]).toBeUndefined();
    expect((await install({ ...options(node, false), keys })).keys?.copied).toEqual(["a.pem"]);
    expect(snapshot(node)[key]).toBe("600 a");
    const left = "usr/local/bin/.ctd-decoder.ctd-decoder-new";
    put(node, left, "");
    put(node, DROP_IN, "version = 2\n");
    const { findings, files } = await install(options(node, false));
    expect(findings).toEqual([
      { severity: "note", message: `the edited file was kept as ${DROP_IN}.edited` },
    ]);
    expect(files.map(({ isChanged }) => isChanged)).toEqual([true, false]);
    expect(snapshot(node)[left]).toBeUndefined();
    const { pendingSince } = JSON.parse(readFileSync(join(node, "var/lib/ctd-decoder/install.json"), "utf8"));
    expect(pendingSince).toBeGreaterThan(0);
  });

  test("that is interrupted at any time changes nothing", async () => {
    const node = nodes.make({ [CONFIG]: "version = 2\n" });
    const before = snapshot(node);
    let questions = 0;
    const stopped = (after: number) => {
      questions = 0;
      return {
        get aborted() {
          return questions++ >= after;
        },
      } as AbortSignal;
    };
    for (let after = 0; ; after++) {
      const run = install({ ...options(node, false), signal: stopped(after) });
      const error = await run.then(
        () => undefined,
        (it: unknown) => it,
      );
      if (error === undefined) break;
      expect(error).toMatchObject({ code: "INTERRUPTED", message: "interrupted; nothing was changed" });
      expect(snapshot(node), `after ${after} questions`).toEqual(before);
    }
    // Before the first change, after each of three files, and before they are put in place.
    expect(questions).toBe(5);
  });

  test("of an empty folder of keys makes the node's folder", async () => {
    const [node, empty] = [nodes.make(), mkdtempSync(join(folder, "empty-"))];
    await installKeys(node, empty, "/etc/keys", false);
    expect(snapshot(node)["etc/keys"]).toBe("700 folder");
  });

  test("of keys alone copies nothing as a dry run", async () => {
    const [node, secret] = [nodes.make(), nodes.make({ "a.pem": "a" })];
    const keys = (isDryRun: boolean) => installKeys(node, secret, "/etc/keys", isDryRun);
    expect([(await keys(true)).copied, snapshot(node)["etc/keys/a.pem"]]).toEqual([["a.pem"], undefined]);
    expect([(await keys(false)).copied, snapshot(node)["etc/keys/a.pem"]]).toEqual([["a.pem"], "600 a"]);
  });
});
