import { spawn } from "node:child_process";
import { createCipheriv, createHash, createHmac, generateKeyPairSync } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";
import { beforeAll, expect, test } from "vitest";
import { encryptLayer } from "../support/layer.ts";
import { payload } from "../support/payload.ts";
import { describeWith, type Need, ours } from "../support/peers.ts";
import { seal } from "../support/sealed.ts";
import { temporaryFolder } from "../support/temporary.ts";

const MiB = 1024 * 1024;
const CHUNK = Buffer.alloc(MiB, "0123456789abcdef");
/** One byte more than 4 GiB: no 32-bit count holds it. */
const CHUNKS = 4096;
const LENGTH = CHUNKS * MiB + 1;
/** What the decoder may take: its runtime has 60 MiB, the layer's beginning 16 MiB, and the rest is buffers. */
const PEAK_BYTES = 192 * MiB;

const linux: Need =
  process.platform === "linux" ? { name: "Linux" } : { name: "Linux", absent: "it needs /proc" };
const folder = temporaryFolder();
const { key, nonce } = encryptLayer(new Uint8Array());
const PAIR = generateKeyPairSync("ec", { namedCurve: "P-256" });

/** The plaintext's MiBs, each with its number, and the byte after them. */
function* plaintext(): Generator<Buffer> {
  for (let i = 0; i < CHUNKS; i++) {
    CHUNK.writeUInt32BE(i);
    yield CHUNK;
  }
  yield Buffer.of(7);
}

function* ciphertext(): Generator<Buffer> {
  const cipher = createCipheriv("aes-256-ctr", key, nonce);
  for (const chunk of plaintext()) yield cipher.update(chunk);
}

/** The payload comes before the layer and names its HMAC: the layer is made twice rather than stored. */
function digests() {
  const hmac = createHmac("sha256", key);
  for (const chunk of ciphertext()) hmac.update(chunk);
  const plain = createHash("sha256");
  for (const chunk of plaintext()) plain.update(chunk);
  return { hmac: hmac.digest("base64"), plain: plain.digest("hex") };
}

async function feed(stdin: Writable): Promise<void> {
  stdin.on("error", () => {});
  for (const chunk of ciphertext()) {
    if (stdin.destroyed) return;
    await new Promise((resolve) => stdin.write(chunk, resolve));
  }
  stdin.end();
}

async function hashOf(stdout: Readable): Promise<{ length: number; digest: string }> {
  const hash = createHash("sha256");
  let length = 0;
  for await (const chunk of stdout) {
    hash.update(chunk);
    length += chunk.length;
  }
  return { length, digest: hash.digest("hex") };
}

/** The highest resident size so far of a process that still runs, in bytes. */
function peakOf(pid: number | undefined): number {
  try {
    return 1024 * Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0);
  } catch {
    return 0;
  }
}

describeWith([ours, linux], "a layer of 4 GiB and a byte", { timeout: 600_000 }, () => {
  const keys = join(folder, "keys");
  let expected = { hmac: "", plain: "" };
  beforeAll(() => {
    mkdirSync(keys);
    writeFileSync(join(keys, "node.pem"), PAIR.privateKey.export({ format: "pem", type: "pkcs8" }));
    expected = digests();
  }, 600_000);

  test.each([
    ["verified, its size told", [], LENGTH],
    ["verified, its size not told", [], 0],
    ["streaming", ["--release=stream"], LENGTH],
  ])("%s", async (what, flags, size) => {
    const sealed = seal(new Uint8Array(), PAIR.publicKey, { publicOptions: { hmac: expected.hmac } });
    const child = spawn(ours.command, ["--decryption-keys-path", keys, ...flags], {
      stdio: ["pipe", "pipe", "pipe", "pipe"],
    });
    const [stdin, stdout, stderr, fd3] = child.stdio as unknown as [Writable, Readable, Readable, Writable];
    let peak = 0;
    const timer = setInterval(() => {
      peak = Math.max(peak, peakOf(child.pid));
    }, 20);
    const started = performance.now();
    fd3.end(payload({ ...sealed.descriptor, size }));
    const messages: Buffer[] = [];
    stderr.on("data", (chunk: Buffer) => messages.push(chunk));
    const exited = new Promise((resolve) => child.on("exit", resolve));
    const [hashed] = await Promise.all([hashOf(stdout), feed(stdin)]);
    const exit = await exited;
    clearInterval(timer);
    const seconds = (performance.now() - started) / 1000;
    process.stdout.write(`${what}: ${seconds.toFixed(1)} s, peak ${(peak / MiB).toFixed(0)} MiB resident\n`);
    expect({ exit, stderr: Buffer.concat(messages).toString() }).toEqual({ exit: 0, stderr: "" });
    expect(hashed).toEqual({ length: LENGTH, digest: expected.plain });
    expect(peak).toBeLessThan(PEAK_BYTES);
  });
});
