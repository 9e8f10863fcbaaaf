import { type ChildProcess, spawn } from "node:child_process";
import { createCipheriv, createHmac, generateKeyPairSync } from "node:crypto";
import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { beforeAll, expect, test } from "vitest";
import { decode } from "../support/decoder.ts";
import { encryptLayer, plainBytes } from "../support/layer.ts";
import { payload } from "../support/payload.ts";
import { describeWith, type Need, ours } from "../support/peers.ts";
import { seal } from "../support/sealed.ts";
import { temporaryFolder } from "../support/temporary.ts";

const linux: Need =
  process.platform === "linux" ? { name: "Linux" } : { name: "Linux", absent: "it needs /proc" };
const MiB = 1024 * 1024;
/** Linux gives a Unix socket 208 KiB. */
const MORE_THAN_A_SOCKET_HOLDS = 600_000;
const HOUR = 3_600_000;
/** Its runtime has 50 MiB, a layer's beginning 4 MiB, and the rest is buffers. */
const PEAK_BYTES = 96 * MiB;

describeWith([ours, linux], "under load", { timeout: HOUR }, () => {
  const folder = temporaryFolder();
  const [keys, spool] = [join(folder, "keys"), join(folder, "spool")];
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const args = ["--decryption-keys-path", keys, "--spool-dir", spool];
  const tell = (text: string) => process.stdout.write(`${text}\n`);

  beforeAll(() => {
    for (const path of [keys, spool]) mkdirSync(path);
    writeFileSync(join(keys, "node.pem"), privateKey.export({ type: "pkcs8", format: "pem" }));
  });

  test("64 decoders at once, each with a layer of its own that goes through a file", async () => {
    const layers = Array.from({ length: 64 }, (_, i) => seal(Buffer.alloc(5 * MiB + i, i + 1), publicKey));
    const start = performance.now();
    const results = await Promise.all(
      layers.map(({ ciphertext, descriptor }) =>
        decode(ours, {
          layer: ciphertext,
          payload: payload(descriptor),
          args: [...args, "--spool-memory=1M"],
          timeoutMs: HOUR,
        }),
      ),
    );
    tell(`64 at once: ${((performance.now() - start) / 1000).toFixed(1)} s`);
    for (const [i, { exit, stderr, stdout }] of results.entries()) {
      expect({ i, exit, stderr }).toEqual({ i, exit: 0, stderr: "" });
      expect(stdout.equals(Buffer.from(layers[i]?.plaintext ?? []))).toBe(true);
    }
    expect(readdirSync(spool)).toEqual([]);
  });

  test("10,000 one after another", async () => {
    const layer = seal(plainBytes(MORE_THAN_A_SOCKET_HOLDS), publicKey);
    const before = leftovers();
    const file = join(folder, "payload");
    writeFileSync(file, payload(layer.descriptor));
    const layerFile = join(folder, "layer");
    writeFileSync(layerFile, layer.ciphertext);
    const start = performance.now();
    let wrong = 0;
    const peaks: number[] = [];
    for (let i = 0; i < 10_000; i++) {
      const { exit, stdout, peak } = await runOnFiles(layerFile, file, i % 100 === 0);
      if (exit !== 0 || !stdout.equals(layer.plaintext)) wrong++;
      if (peak > 0) peaks.push(peak);
    }
    const mean = (list: number[]) => list.reduce((sum, peak) => sum + peak, 0) / list.length / MiB;
    const third = Math.ceil(peaks.length / 3);
    const [first, last] = [mean(peaks.slice(0, third)), mean(peaks.slice(-third))];
    tell(
      `10,000 runs: ${((performance.now() - start) / 1000).toFixed(0)} s, ${first.toFixed(0)} MiB at first, ${last.toFixed(0)} MiB at last`,
    );
    expect(wrong).toBe(0);
    expect(peaks).toHaveLength(100);
    expect(leftovers()).toEqual(before);
    expect(last).toBeLessThan(first * 1.2);
  });

  test("a layer of 10 GiB", async () => {
    const chunks = 10 * 1024;
    const zeros = Buffer.alloc(MiB);
    const { key, nonce } = encryptLayer(new Uint8Array());
    function* ciphertext(): Generator<Buffer> {
      const cipher = createCipheriv("aes-256-ctr", key, nonce);
      for (let i = 0; i < chunks; i++) yield cipher.update(zeros);
    }
    const hmac = createHmac("sha256", key);
    for (const chunk of ciphertext()) hmac.update(chunk);
    const sealed = seal(new Uint8Array(), publicKey, { publicOptions: { hmac: hmac.digest("base64") } });
    const child = spawn(ours.command, args, { stdio: ["pipe", "pipe", "inherit", "pipe"] });
    const [stdin, stdout, , fd3] = child.stdio as unknown as [Writable, Readable, null, Writable];
    fd3.end(payload({ ...sealed.descriptor, size: chunks * MiB }));
    const start = performance.now();
    let peak = 0;
    let length = 0;
    let same = true;
    const exited = new Promise<number | null>((resolve) => child.on("exit", resolve));
    const reading = (async () => {
      for await (const chunk of stdout as AsyncIterable<Buffer>) {
        length += chunk.length;
        same &&= chunk.equals(zeros.subarray(0, chunk.length));
        if (length % (64 * MiB) < chunk.length) peak = Math.max(peak, statusOf(child).peak);
      }
    })();
    for (const chunk of ciphertext()) await new Promise((resolve) => stdin.write(chunk, resolve));
    stdin.end();
    await reading;
    const exit = await exited;
    tell(
      `10 GiB: ${((performance.now() - start) / 1000).toFixed(0)} s, peak ${(peak / MiB).toFixed(0)} MiB resident`,
    );
    expect({ exit, length, same }).toEqual({ exit: 0, length: chunks * MiB, same: true });
    expect(peak).toBeLessThan(PEAK_BYTES);
    expect(readdirSync(spool)).toEqual([]);
  });

  test.each([[[]], [["--release=stream"]]])("a reader that stalls for a minute: %s", async (flags) => {
    const layer = seal(plainBytes(40 * MiB), publicKey);
    const child = spawn(ours.command, [...args, ...flags], { stdio: ["pipe", "pipe", "inherit", "pipe"] });
    const [stdin, stdout, , fd3] = child.stdio as unknown as [Writable, Readable, null, Writable];
    const exited = new Promise<number | null>((resolve) => child.on("exit", resolve));
    fd3.end(payload(layer.descriptor));
    stdin.end(layer.ciphertext);
    await new Promise((resolve) => stdout.once("readable", resolve));
    await sleep(2000);
    const before = statusOf(child);
    await sleep(60_000);
    const after = statusOf(child);
    tell(
      `a minute's wait: ${after.cpuMs - before.cpuMs} ms of processor time, ${((after.resident - before.resident) / MiB).toFixed(1)} MiB more`,
    );
    const parts: Buffer[] = [];
    for await (const chunk of stdout as AsyncIterable<Buffer>) parts.push(chunk);
    expect(Buffer.concat(parts).equals(layer.plaintext)).toBe(true);
    expect(await exited).toBe(0);
    expect(after.cpuMs - before.cpuMs).toBeLessThan(1000);
    expect(after.resident - before.resident).toBeLessThan(8 * MiB);
  });

  async function runOnFiles(
    layer: string,
    file: string,
    measured: boolean,
  ): Promise<{ exit: number | null; stdout: Buffer; peak: number }> {
    const descriptors = [openSync(layer, "r"), openSync(file, "r")] as const;
    const child = spawn(ours.command, args, { stdio: [descriptors[0], "pipe", "inherit", descriptors[1]] });
    for (const fd of descriptors) closeSync(fd);
    const stdout: Buffer[] = [];
    let peak = 0;
    child.stdout?.on("data", (chunk: Buffer) => {
      // There is more than the socket takes, so it still runs at the first of it.
      if (measured && peak === 0) peak = statusOf(child).peak;
      stdout.push(chunk);
    });
    const exit = await new Promise<number | null>((resolve) => child.on("close", resolve));
    return { exit, stdout: Buffer.concat(stdout), peak };
  }

  /** Temporary files, and processes of ours. */
  function leftovers() {
    const files = [spool, "/dev/shm", "/var/tmp", "/tmp"].map((path) =>
      readdirSync(path).filter((name) => name.startsWith(".ctd-decoder")),
    );
    return { files, spool: readdirSync(spool), open: readdirSync("/proc/self/fd").length };
  }
});

/** Sizes in bytes; zeros for a process that is gone. */
function statusOf(child: ChildProcess): { peak: number; resident: number; cpuMs: number } {
  try {
    const status = readFileSync(`/proc/${child.pid}/status`, "utf8");
    const stat = readFileSync(`/proc/${child.pid}/stat`, "utf8");
    const size = (name: string) =>
      1024 * Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(status)?.[1] ?? 0);
    // proc(5): utime and stime, in hundredths of a second, are the 12th and 13th after the name.
    const times = stat
      .slice(stat.lastIndexOf(")") + 2)
      .split(" ")
      .slice(11, 13);
    return {
      peak: size("VmHWM"),
      resident: size("VmRSS"),
      cpuMs: 10 * times.reduce((sum, time) => sum + Number(time), 0),
    };
  } catch {
    return { peak: 0, resident: 0, cpuMs: 0 };
  }
}
