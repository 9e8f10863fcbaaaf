import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdirSync, readdirSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { command, type KeyPairFiles, ONE_ERROR, rsaKeys, succeed } from "../support/cli.ts";
import { sha256, tar } from "../support/images.ts";
import { copyLayout, putManifest, readDocument, rootOf, snapshot, tagRoot } from "../support/layouts.ts";
import { describeWith, ours, root, run, strace } from "../support/peers.ts";
import { temporaryFolder } from "../support/temporary.ts";

/** Runs that are interrupted: the destination is not changed, and the next run removes leftover files. */
const folder = temporaryFolder();
const small = join(folder, "small");
const large = join(folder, "large");
const LARGE_BYTES = 400 * 1024 * 1024;
let keys: KeyPairFiles;
let count = 0;

beforeAll(async () => {
  keys = await rsaKeys(join(folder, "keys"), "node");
  const bytes = await tar({ a: Buffer.from("a") });
  tagRoot(small, putManifest(small, [{ bytes, compression: "none", diffId: sha256(bytes) }]));
  writeLarge();
});

/** An image with a layer that takes long but little space: a sparse file of zeros. */
function writeLarge(): void {
  const zeros = Buffer.alloc(1024 * 1024);
  const hash = createHash("sha256");
  for (let done = 0; done < LARGE_BYTES; done += zeros.length) hash.update(zeros);
  const digest = `sha256:${hash.digest("hex")}`;
  const entry = putManifest(large, [{ bytes: Buffer.from("x"), compression: "none", diffId: digest }]);
  const manifest = readDocument(large, entry);
  manifest.layers = [{ ...manifest.layers[0], digest, size: LARGE_BYTES }];
  const text = Buffer.from(JSON.stringify(manifest));
  writeFileSync(join(large, "blobs", sha256(text).replace(":", "/")), text);
  tagRoot(large, { ...entry, digest: sha256(text), size: text.length });
  const path = join(large, "blobs", digest.replace(":", "/"));
  writeFileSync(path, "");
  truncateSync(path, LARGE_BYTES);
}

const fresh = () => join(folder, String(count++));
const recipient = () => ["--recipient", `jwe:${keys.publicKey}`];
const isStaging = (name: string) => name.startsWith(".ctd-decoder-");

function start(source: string, target: string, temporary = process.env["TMPDIR"]): ChildProcess {
  const { PATH = "" } = process.env;
  const args = ["encrypt", ...recipient(), source, target];
  return spawn(ours.command, args, { stdio: ["pipe", "pipe", "pipe"], env: { PATH, TMPDIR: temporary } });
}

/** Waits until the work has begun: its first file has some bytes. */
async function begun(child: ChildProcess, parent: string): Promise<void> {
  for (;;) {
    const [staging] = readdirSync(parent).filter(isStaging);
    if (staging !== undefined && readdirSync(join(parent, staging)).length > 0) return;
    if (child.exitCode !== null) throw new Error("the command ended before it could be stopped");
    await sleep(5);
  }
}

async function text(stream: NodeJS.ReadableStream | null): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream ?? []) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks).toString();
}

describeWith([ours], "a command that is stopped", {}, () => {
  test.each([
    ["SIGINT", (layout: string) => `oci:${layout}:new`],
    ["SIGTERM", (layout: string) => `oci-archive:${layout}/new.tar`],
    ["SIGHUP", (layout: string) => `oci:${layout}/new`],
  ] as const)("by %s cleans up, says so and ends by the signal", async (signal, place) => {
    const layout = copyLayout(small, fresh());
    const before = snapshot(layout);
    const child = start(`oci:${large}`, place(layout));
    const stderr = text(child.stderr);
    await begun(child, layout);
    child.kill(signal);
    expect(await once(child, "exit")).toEqual([null, signal]);
    expect(await stderr).toContain("ctd-decoder: interrupted; the destination is as it was\n");
    expect(snapshot(layout)).toEqual(before);
  });

  test("by SIGKILL leaves a temporary folder, which the next one removes", async () => {
    const layout = copyLayout(small, fresh());
    const before = snapshot(layout);
    const child = start(`oci:${large}`, `oci:${layout}:new`);
    await begun(child, layout);
    child.kill("SIGKILL");
    await once(child, "exit");
    expect(readdirSync(layout).filter(isStaging)).toHaveLength(1);
    const others = [...snapshot(layout)].filter(([name]) => !isStaging(name));
    expect(new Map(others)).toEqual(before);
    await succeed(["encrypt", "-q", ...recipient(), `oci:${small}`, `oci:${layout}:new`]);
    expect(readdirSync(layout).sort()).toEqual(["blobs", "index.json", "oci-layout"]);
    expect(rootOf(layout, "new").digest).toMatch(/^sha256:/);
  });

  test("while it waits for standard input ends at once", async () => {
    const temporary = fresh();
    mkdirSync(temporary);
    const child = start("-", `oci:${fresh()}`, temporary);
    child.stdin?.write("x");
    await begun(child, temporary);
    child.kill("SIGTERM");
    expect(await once(child, "exit")).toEqual([null, "SIGTERM"]);
    expect(readdirSync(temporary)).toEqual([]);
  });
});

describeWith([ours, strace], "keygen that is stopped", {}, () => {
  test.each([
    ["the first file", "node.pem"],
    ["the second file", "node.pem.pub"],
  ])("while %s is flushed leaves neither", async (_what, name) => {
    const place = fresh();
    mkdirSync(place);
    // By the file's path: strace counts the calls of each thread by itself, and any thread of the pool may flush.
    const injected = [
      "-f",
      "-qq",
      "-o",
      "/dev/null",
      "-P",
      join(place, name),
      "-e",
      "inject=fsync:signal=SIGINT",
    ];
    const args = [...injected, "-e", "trace=fsync", ours.command, "keygen", join(place, "node.pem")];
    const { exit, signal, stderr } = await run(strace, args);
    expect(exit === 130 || signal === "SIGINT").toBe(true);
    expect(stderr).toBe("ctd-decoder: interrupted; nothing was changed\n");
    expect(readdirSync(place)).toEqual([]);
  });
});

describeWith([ours, root], "a disk that is full", {}, () => {
  const disk = join(folder, "disk");

  beforeAll(() => {
    mkdirSync(disk);
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=8m", "tmpfs", disk]);
  });
  afterAll(() => {
    execFileSync("umount", ["-l", disk]);
  });

  test.each([
    ["a layout that is new", (layout: string) => `oci:${layout}/../new`],
    ["a layout with another image", (layout: string) => `oci:${layout}:new`],
    ["an archive", (layout: string) => `oci-archive:${layout}/../new.tar`],
  ])("in the way of %s is one error, and nothing is left", async (_, place) => {
    const layout = join(disk, String(count++));
    copyLayout(small, layout);
    const before = snapshot(disk);
    const { exit, stderr } = await command(["encrypt", ...recipient(), `oci:${large}`, place(layout)]);
    expect(exit).toBe(1);
    expect(stderr).toMatch(ONE_ERROR);
    expect(stderr).toMatch(/no space left on the device\n.*hint: free some space there, .*\$TMPDIR/);
    expect(stderr).not.toContain(".ctd-decoder-");
    expect(snapshot(disk)).toEqual(before);
  });

  test.each([
    ["before the first key", "size=4k,nr_inodes=8", "filler"],
    ["before the second key", "nr_inodes=2", undefined],
  ])("%s leaves neither", async (_when, options, filler) => {
    const place = fresh();
    mkdirSync(place);
    execFileSync("mount", ["-t", "tmpfs", "-o", options, "tmpfs", place]);
    try {
      if (filler !== undefined) writeFileSync(join(place, filler), "x".repeat(4096));
      const before = readdirSync(place);
      const { exit, stderr } = await command(["keygen", join(place, "node.pem")]);
      expect({ exit, stderr }).toEqual({ exit: 1, stderr: expect.stringMatching(/no space left/) });
      expect(readdirSync(place)).toEqual(before);
    } finally {
      execFileSync("umount", ["-l", place]);
    }
  });
});
