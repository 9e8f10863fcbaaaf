import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { constants, readFileSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { beforeAll, expect, type TestContext, test } from "vitest";
import { type Keys, type LayerFiles, writeKeys, writeLayer } from "../../scripts/bench/inputs.ts";
import { describeWith, ours } from "../support/peers.ts";
import { temporaryFolder } from "../support/temporary.ts";

/** More than the buffers of sockets hold. */
const LAYER_BYTES = 4 * 1024 * 1024;
const STALL_MS = 3000;
/** Several samples: on a busy machine the first may include the decoder's start and its work before the wait. */
const LOOKS = 3;
const START_MS = 240_000;
/** The longest wait of process/runtime.ts is 10 ms. Each one ends with a wake-up, and some are shorter. */
const WAKE_UPS = 150;
const SAMPLES = 100;

/** stdin and stdout arrive as 4 and 5, and the shell moves them: libuv would make 0 to 2 blocking. */
const SCRIPT = 'exec "$@" <&4 >&5 3<"$PAYLOAD" 4<&- 5>&-';

describeWith([ours], "a decoder on non-blocking sockets", {}, () => {
  const folder = temporaryFolder();
  let keys: Keys;
  let layer: LayerFiles;

  beforeAll(async () => {
    keys = await writeKeys(join(folder, "keys"), "rsa");
    layer = await writeLayer(join(folder, "layer"), LAYER_BYTES, keys.recipients);
  });

  test.concurrent.for(["verified", "stream"])(
    "sleeps while its input stalls, released %s",
    async (release, context) => {
      const { child, input, output } = await start(context, release);
      const ciphertext = readFileSync(layer.path);
      input.write(ciphertext.subarray(0, LAYER_BYTES / 2));
      const written = collect(output);
      expect(await waiting(child)).toSatisfy(isIdle);
      input.end(ciphertext.subarray(LAYER_BYTES / 2));
      expect(await written).toBe(layer.digest);
    },
  );

  test.concurrent.for(["verified", "stream"])(
    "sleeps while its output stalls, released %s",
    async (release, context) => {
      const { child, input, output } = await start(context, release);
      input.end(readFileSync(layer.path));
      expect(await waiting(child)).toSatisfy(isIdle);
      expect(await collect(output)).toBe(layer.digest);
    },
  );

  async function start(
    context: TestContext,
    release: string,
  ): Promise<{ child: ChildProcess; input: Socket; output: Socket }> {
    const [input, stdin] = await socketPair();
    const [output, stdout] = await socketPair();
    const args = [ours.command, "--decryption-keys-path", keys.folder, "--release", release];
    const child = spawn("sh", ["-c", SCRIPT, "sh", ...args], {
      stdio: ["ignore", "ignore", "inherit", "ignore", stdin, stdout],
      env: { PATH: process.env["PATH"], PAYLOAD: layer.payload },
    });
    context.onTestFinished(() => void child.kill("SIGKILL"));
    await once(child, "spawn");
    stdin.destroy();
    stdout.destroy();
    return { child, input, output };
  }

  let sockets = 0;

  /** Both ends of a connection, which Node makes non-blocking. */
  async function socketPair(): Promise<[Socket, Socket]> {
    const path = join(folder, `socket-${++sockets}`);
    const server = createServer({ pauseOnConnect: true }).listen(path);
    await once(server, "listening");
    const accepted = once(server, "connection");
    const near = connect(path);
    const [far] = (await accepted) as [Socket];
    server.close();
    return [near, far];
  }
});

interface Waiting {
  readonly wakeUpsPerSecond: number;
  /** Share of the samples in which the decoder ran or wanted to run. */
  readonly running: number;
}

/** Neither busy nor woken more often than necessary. Both are the same on a slow machine. */
function isIdle({ wakeUpsPerSecond, running }: Waiting): boolean {
  return wakeUpsPerSecond <= WAKE_UPS && running < 0.5;
}

/** How the decoder's main thread waits. */
async function waiting({ pid }: ChildProcess): Promise<Waiting> {
  await expect.poll(() => [0, 1].every((fd) => isNonBlocking(pid, fd)), { timeout: START_MS }).toBe(true);
  let seen: Waiting = { wakeUpsPerSecond: Number.POSITIVE_INFINITY, running: 1 };
  for (let look = 0; look < LOOKS && !isIdle(seen); look++) {
    const [before, start] = [status(pid), performance.now()];
    let running = 0;
    for (let i = 0; i < SAMPLES; i++) {
      await sleep(STALL_MS / SAMPLES);
      if (status(pid).state === "R") running += 1;
    }
    const wakeUps = status(pid).switches - before.switches;
    seen = {
      wakeUpsPerSecond: wakeUps / ((performance.now() - start) / 1000),
      running: running / SAMPLES,
    };
  }
  return seen;
}

/** proc_pid_status(5): the thread's state, and how often it has waited. */
function status(pid: number | undefined): { state: string; switches: number } {
  const text = readFileSync(`/proc/${pid}/status`, "utf8");
  const field = (name: string) => new RegExp(`^${name}:\\s*(\\S+)`, "m").exec(text)?.[1] ?? "";
  return { state: field("State"), switches: Number(field("voluntary_ctxt_switches")) };
}

/** proc_pid_fdinfo(5): the flags with which the descriptor was opened, in octal. */
function isNonBlocking(pid: number | undefined, fd: number): boolean {
  const [, flags = ""] = /^flags:\s*(\d+)$/m.exec(readFileSync(`/proc/${pid}/fdinfo/${fd}`, "utf8")) ?? [];
  return (Number.parseInt(flags, 8) & constants.O_NONBLOCK) !== 0;
}

async function collect(socket: Socket): Promise<string> {
  const hash = createHash("sha256");
  for await (const bytes of socket) hash.update(bytes as Buffer);
  return hash.digest("hex");
}
