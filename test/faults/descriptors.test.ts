import { spawn } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { once } from "node:events";
import { closeSync, constants, mkdirSync, openSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { beforeAll, describe, expect, test } from "vitest";
import { Random } from "../fuzz/random.ts";
import { plainBytes } from "../support/layer.ts";
import { payload } from "../support/payload.ts";
import { describeWith, type Need, ours, output } from "../support/peers.ts";
import { type Sealed, seal } from "../support/sealed.ts";
import { temporaryFolder } from "../support/temporary.ts";

const linux: Need =
  process.platform === "linux" ? { name: "Linux" } : { name: "Linux", absent: "it needs Linux" };
const KILLS = 100;

describeWith([ours, linux], "what stands where the payload should", {}, () => {
  const folder = temporaryFolder();
  const fifo = join(folder, "fifo");
  beforeAll(() => output({ name: "mkfifo", command: "mkfifo", args: [] }, [fifo]));

  async function refused(fd: number | "pipe") {
    const child = spawn(ours.command, ["--no-content-store"], { stdio: ["ignore", "pipe", "pipe", fd] });
    const ended = once(child, "close");
    const [out, err] = await Promise.all([text(child.stdout as Readable), text(child.stderr as Readable)]);
    const [exit] = await ended;
    return { exit, out, err };
  }

  test.each([
    ["a directory", folder, /passed no payload/],
    ["the empty device", "/dev/null", /payload .*is empty|passed no payload/],
    ["endless zeros", "/dev/zero", /passed no payload/],
  ])("%s", async (_what, path, message) => {
    const fd = openSync(path, "r");
    try {
      const { exit, out, err } = await refused(fd);
      expect({ exit, out }).toEqual({ exit: 1, out: "" });
      expect(err).toMatch(message);
    } finally {
      closeSync(fd);
    }
  });

  // These two wait at the same time.
  test.concurrent("a socket that is never closed is given up after 30 s", async () => {
    const { exit, out, err } = await refused("pipe");
    expect({ exit, out }).toEqual({ exit: 1, out: "" });
    expect(err).toMatch(/did not end within 30 s/);
  });

  test.concurrent("a pipe that is never closed is given up after 30 s", async () => {
    const both = openSync(fifo, constants.O_RDWR);
    const end = openSync(fifo, constants.O_RDONLY);
    try {
      const { exit, out, err } = await refused(end);
      expect({ exit, out }).toEqual({ exit: 1, out: "" });
      expect(err).toMatch(/did not end within 30 s/);
    } finally {
      closeSync(both);
      closeSync(end);
    }
  });
});

describeWith([ours, linux], "a decoder that is killed", {}, () => {
  const folder = temporaryFolder();
  const [keys, spool, file] = ["keys", "spool", "payload"].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  let layer: Sealed;

  beforeAll(() => {
    for (const path of [keys, spool]) mkdirSync(path);
    writeFileSync(join(keys, "node.pem"), privateKey.export({ type: "pkcs8", format: "pem" }));
    layer = seal(plainBytes(4 * 1024 * 1024), publicKey);
    writeFileSync(file, payload(layer.descriptor));
  });

  describe.each(["verified", "stream"])("--release=%s", (release) => {
    test(`leaves no file behind at ${KILLS} moments`, async () => {
      const random = new Random(7);
      const args = [
        "--decryption-keys-path",
        keys,
        "--spool-memory=4K",
        "--spool-dir",
        spool,
        `--release=${release}`,
      ];
      let killed = 0;
      for (let i = 0; i < KILLS; i++) {
        const fd = openSync(file, "r");
        const child = spawn(ours.command, args, { stdio: ["pipe", "pipe", "ignore", fd] });
        closeSync(fd);
        child.stdin?.on("error", () => {});
        child.stdin?.end(layer.ciphertext);
        child.stdout?.resume();
        const ended = new Promise<NodeJS.Signals | null>((resolve) =>
          child.on("close", (_code, signal) => resolve(signal)),
        );
        await sleep(random.below(60));
        child.kill("SIGKILL");
        if ((await ended) === "SIGKILL") killed++;
      }
      expect(readdirSync(spool)).toEqual([]);
      // Of those that had ended by themselves nothing is learnt.
      expect(killed).toBeGreaterThan(KILLS / 4);
    });
  });
});
