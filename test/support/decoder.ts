import { spawn } from "node:child_process";
import { closeSync, constants, mkdtempSync, openSync, unlinkSync } from "node:fs";
import { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { type Finished, output, type Peer } from "./peers.ts";

export interface DecoderCall {
  /** The encrypted layer, for stdin. */
  readonly layer: Uint8Array;
  /** For fd 3, which isn't open at all without it. */
  readonly payload?: Uint8Array;
  readonly args?: readonly string[];
  /** In addition to PATH: containerd's own environment is no bigger as a service. */
  readonly env?: Readonly<Record<string, string>>;
  /** containerd sets it always. With one, a refusal keeps standard output open for a moment (test/cli/refusal.test.ts). */
  readonly mediaType?: string;
  readonly cwd?: string;
  /** Bytes of one write to stdin and to fd 3; all at once by default. */
  readonly chunk?: number;
  /** Never closes stdin: the decoder has to end by itself. */
  readonly keepStdinOpen?: boolean;
  /** The decoder is killed after this; 60 s by default. */
  readonly timeoutMs?: number;
  /** The decoder is killed when this is done. */
  readonly killAfter?: Promise<unknown>;
}

/** Calls a decoder as containerd does: payload, layer, plaintext and messages all go through blocking pipes. */
export async function decode(decoder: Peer, call: DecoderCall): Promise<Finished> {
  const [stdin, stdout, stderr, fd3] = await pipes(4);
  const child = spawn(decoder.command, [...decoder.args, ...(call.args ?? [])], {
    stdio: call.payload
      ? [stdin.read, stdout.write, stderr.write, fd3.read]
      : [stdin.read, stdout.write, stderr.write],
    env: {
      PATH: process.env["PATH"],
      ...(call.mediaType !== undefined && { STREAM_PROCESSOR_MEDIATYPE: call.mediaType }),
      ...call.env,
    },
    ...(call.cwd === undefined ? {} : { cwd: call.cwd }),
    timeout: call.timeoutMs ?? 60_000,
    killSignal: "SIGKILL",
  });
  const ended = new Promise<Pick<Finished, "exit" | "signal">>((resolve, reject) => {
    child.on("error", reject);
    child.on("exit", (exit, signal) => resolve({ exit, signal }));
  });
  for (const fd of [stdin.read, stdout.write, stderr.write, fd3.read]) closeSync(fd);
  call.killAfter?.catch(() => undefined).then(() => child.kill("SIGKILL"));

  const results = [collect(stdout.read), collect(stderr.read)] as const;
  const layerWriter = feed(stdin.write, call.layer, call.chunk, call.keepStdinOpen);
  const payloadWriter = feed(fd3.write, call.payload ?? new Uint8Array(), call.chunk);
  const status = await ended.finally(() => {
    layerWriter.destroy();
    payloadWriter.destroy();
  });
  const [out, err] = await Promise.all(results);
  return { ...status, stdout: out, stderr: err.toString() };
}

interface Pipe {
  readonly read: number;
  readonly write: number;
}

/** Paths of FIFOs that nobody has opened yet. */
const unused: string[] = [];
const FIFOS_AT_ONCE = 128;

/**
 * Node's own "pipe" is a socket pair. A FIFO's two ends behave as the pipe that containerd makes, at both sides. One run of
 * mkfifo serves many decoders.
 */
async function pipes(count: 4): Promise<[Pipe, Pipe, Pipe, Pipe]> {
  if (unused.length < count) {
    const folder = mkdtempSync(join(tmpdir(), "pipes-"));
    const paths = Array.from({ length: FIFOS_AT_ONCE }, (_, index) => join(folder, String(index)));
    await output({ name: "mkfifo", command: "mkfifo", args: [] }, paths);
    unused.push(...paths);
  }
  const [a, b, c, d] = unused.splice(-count).map(openBothEnds);
  if (!a || !b || !c || !d) throw new Error("bug: four pipes were asked for");
  return [a, b, c, d];
}

function openBothEnds(path: string): Pipe {
  // Opening one end of a FIFO waits for the other, unless somebody holds both.
  const both = openSync(path, constants.O_RDWR);
  const pipe = { read: openSync(path, constants.O_RDONLY), write: openSync(path, constants.O_WRONLY) };
  closeSync(both);
  unlinkSync(path);
  return pipe;
}

async function collect(fd: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of new Socket({ fd, readable: true, writable: false })) chunks.push(chunk);
  return Buffer.concat(chunks);
}

function feed(fd: number, bytes: Uint8Array, chunk = Math.max(bytes.length, 1), keepOpen = false): Socket {
  const socket = new Socket({ fd, readable: false, writable: true });
  // EPIPE: the decoder ended without reading on. Its status tells the test.
  socket.on("error", () => {});
  void (async () => {
    for (let at = 0; at < bytes.length && !socket.destroyed; at += chunk) {
      await new Promise((resolve) => socket.write(bytes.subarray(at, at + chunk), resolve));
      // Gives the reader a turn: otherwise the pipe would join the chunks again.
      await nextTurn();
    }
    if (!keepOpen) socket.end();
  })();
  return socket;
}
