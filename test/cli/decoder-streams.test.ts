import { spawn } from "node:child_process";
import { createHash, generateKeyPairSync } from "node:crypto";
import {
  closeSync,
  constants,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { Socket } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { WORKER_BYTES } from "../../src/cipher/authenticator.ts";
import { type DecoderCall, decode } from "../support/decoder.ts";
import { flipBit, plainBytes } from "../support/layer.ts";
import { payload } from "../support/payload.ts";
import { describeWith, type Finished, type Need, ours, output, root, run, strace } from "../support/peers.ts";
import { expectRefusal, type Sealed, seal, secretsOf } from "../support/sealed.ts";
import { temporaryFolder } from "../support/temporary.ts";

const linux: Need =
  process.platform === "linux" ? { name: "Linux" } : { name: "Linux", absent: "it needs Linux" };
const folder = temporaryFolder();
const KiB = 1024;
const PAIR = generateKeyPairSync("ec", { namedCurve: "P-256" });
const keys = join(folder, "keys");
mkdirSync(keys);
writeFileSync(join(keys, "node.pem"), PAIR.privateKey.export({ format: "pem", type: "pkcs8" }));

const SMALL = seal(plainBytes(3000), PAIR.publicKey);
const LARGE = seal(plainBytes(3_000_001), PAIR.publicKey);
const WAYS = [
  { way: "in memory", flags: [] },
  { way: "spooled", flags: ["--spool-memory=4K"] },
  { way: "streaming", flags: ["--release=stream", "--spool-memory=4K"] },
  // For a layer of this size, a second thread authenticates and writes, however short the layer really is.
  { way: "on two threads", flags: ["--spool-memory=4K"], size: WORKER_BYTES + 1 },
];
const sized = (layer: Sealed, size = layer.descriptor.size): Sealed => ({
  ...layer,
  descriptor: { ...layer.descriptor, size },
});

const call = (layer: Sealed, flags: readonly string[] = [], changes: Partial<DecoderCall> = {}) =>
  decode(ours, {
    layer: layer.ciphertext,
    payload: payload(layer.descriptor),
    args: ["--decryption-keys-path", keys, ...flags],
    ...changes,
  });

function expectPlaintext(result: Finished, layer: Sealed): void {
  expect({ exit: result.exit, stderr: result.stderr }).toEqual({ exit: 0, stderr: "" });
  expect(result.stdout.equals(layer.plaintext)).toBe(true);
}

/** A shell script in which `decoder` opens the layer from files; FLAGS holds additional flags. */
async function shell(script: string, layer = LARGE, flags: readonly string[] = []): Promise<Finished> {
  writeFileSync(join(folder, "layer"), layer.ciphertext);
  writeFileSync(join(folder, "payload"), payload(layer.descriptor));
  const decoder = `decoder() { "${ours.command}" --decryption-keys-path "${keys}" ${flags.join(" ")} 3<payload "$@"; }`;
  return run({ name: "bash", command: "bash", args: [] }, ["-c", `${decoder}\n${script}`], { cwd: folder });
}

describeWith([ours, linux], "the decoder's streams", {}, () => {
  describe.each(WAYS)("$way", ({ flags, size }) => {
    const [small, large] = [sized(SMALL, size), sized(LARGE, size)];

    test("byte by byte, payload and layer", async () => {
      expectPlaintext(await call(small, flags, { chunk: 1 }), small);
    });

    test.each([1000, 4095, 4096, 4097, 65_537])("in pieces of %i bytes", async (chunk) => {
      expectPlaintext(await call(large, flags, { chunk }), large);
    });

    test("through sockets", async () => {
      const child = spawn(ours.command, ["--decryption-keys-path", keys, ...flags], {
        stdio: ["pipe", "pipe", "pipe", "pipe"],
      });
      const [stdin, stdout, stderr, fd3] = child.stdio as unknown as [Socket, Socket, Socket, Socket];
      fd3.end(payload(large.descriptor));
      stdin.end(large.ciphertext);
      const [out, err] = await Promise.all([collect(stdout), collect(stderr)]);
      expect({ out: sha(out), err: err.toString() }).toEqual({ out: sha(large.plaintext), err: "" });
    });

    test("through pipes", async () => {
      const result = await shell("cat layer | decoder | sha256sum", large, flags);
      expect({ stdout: result.stdout.toString(), stderr: result.stderr }).toEqual({
        stdout: `${sha(large.plaintext)}  -\n`,
        stderr: "",
      });
    });

    test("non-blocking, with a reader that stalls and a writer that pauses", async () => {
      expectPlaintext(await nonBlocking(large, flags), large);
    });

    test("if the reader goes away, the decoder ends silently with exit code 1", async () => {
      for (const taken of ["0", "1", "70000"]) {
        const result = await shell(
          `decoder <layer | head -c ${taken} >/dev/null; echo "\${PIPESTATUS[0]}"`,
          large,
          flags,
        );
        expect({ status: result.stdout.toString(), stderr: result.stderr }).toEqual({
          status: "1\n",
          stderr: "",
        });
      }
    });

    test("a full device is reported", async () => {
      const result = await shell("decoder <layer >/dev/full", large, flags);
      expectRefusal(
        result,
        /can't write standard output: no space left on the device/,
        secretsOf(large, large.ciphertext),
      );
    });

    test("an unreadable stdin is reported", async () => {
      expectRefusal(await shell("decoder </", large, flags), /can't read standard input: it is a directory/);
    });

    test("a closed stdin is not accepted as a layer", async () => {
      expectRefusal(await shell("decoder <&-", large, flags), /./, secretsOf(large, new Uint8Array()));
    });

    test("a layer and stdout that are files", async () => {
      const result = await shell("decoder <layer >plain && sha256sum <plain", large, flags);
      expect(result.stdout.toString()).toContain(sha(large.plaintext));
      expect(result.stderr).toBe("");
    });

    test("with stderr closed or full, the exit code still shows the failure", async () => {
      for (const where of ["2>&-", "2>/dev/full"]) {
        const result = await shell(`decoder </dev/null ${where}`, large, flags);
        expect({ exit: result.exit, stdout: result.stdout.length }).toEqual({ exit: 1, stdout: 0 });
      }
    });
  });

  describe("--spool-memory", () => {
    test.each([0, 1, 4095, 4096, 4097, 8192])("4K and a layer of %i bytes", async (length) => {
      const layer = seal(plainBytes(length), PAIR.publicKey);
      for (const size of [length, 0]) {
        const flags = ["--spool-memory=4K"];
        expectPlaintext(await call(layer, flags, { payload: payload({ ...layer.descriptor, size }) }), layer);
      }
    });

    test("none at all", async () => expectPlaintext(await call(LARGE, ["--spool-memory=0"]), LARGE));

    test("only a layer above it gets a file", async () => {
      const missing = ["--spool-dir", join(folder, "missing")];
      expectPlaintext(await call(LARGE, ["--spool-memory=3000001", ...missing]), LARGE);
      const result = await call(LARGE, ["--spool-memory=3000000", ...missing]);
      expectRefusal(
        result,
        /temporary file in .*missing: no such file or directory/,
        secretsOf(LARGE, LARGE.ciphertext),
      );
      expect(result.stderr).toMatch(/hint: .*--spool-dir/);
    });
  });

  describe("--spool-dir", () => {
    test("holds the file, which has no name and no plaintext", async () => {
      const spool = join(folder, "spool");
      mkdirSync(spool);
      expectPlaintext(await call(LARGE, ["--spool-memory=4K", "--spool-dir", spool]), LARGE);
      const forged = { ...LARGE, ciphertext: flipBit(LARGE.ciphertext, 5) };
      expectRefusal(await call(forged, ["--spool-memory=4K", "--spool-dir", spool]), /not authentic/);
      expect(readdirSync(spool)).toEqual([]);
    });

    test.each(["/proc", "/dev/null"])("%s as the folder is reported", async (path) => {
      expectRefusal(
        await call(LARGE, ["--spool-memory=4K", "--spool-dir", path]),
        /can't make a temporary file in/,
      );
    });

    test("$TMPDIR is the default", async () => {
      const result = await call(LARGE, ["--spool-memory=4K"], { env: { TMPDIR: "/missing" } });
      expectRefusal(result, /temporary file in \/missing/);
    });
  });

  describeWith([root], "a spool folder on a file system of its own", {}, () => {
    const small = join(folder, "small");
    const readOnly = join(folder, "read-only");
    const mounts: string[] = [];
    beforeAll(async () => {
      for (const [path, options] of [
        [small, "size=1m"],
        [readOnly, "ro"],
      ] as const) {
        mkdirSync(path);
        await output({ name: "mount", command: "mount", args: [] }, [
          "-t",
          "tmpfs",
          "-o",
          options,
          "tmpfs",
          path,
        ]);
        mounts.push(path);
      }
    });
    afterAll(async () => {
      for (const path of mounts) await output({ name: "umount", command: "umount", args: [] }, [path]);
    });

    test("if it is full, that is reported and nothing is released", async () => {
      const result = await call(LARGE, ["--spool-memory=4K", "--spool-dir", small]);
      expectRefusal(result, /can't write a temporary file in .*small: no space left on the device/);
      expect(result.stderr).toMatch(/hint: .*--spool-memory/);
    });

    test("if it is read-only, that is reported", async () => {
      const result = await call(LARGE, ["--spool-memory=4K", "--spool-dir", readOnly]);
      expectRefusal(result, /read-only: the file system is read-only/);
    });
  });

  describeWith([strace], "the decoder's system calls", {}, () => {
    async function trace(layer: Sealed, flags: readonly string[]): Promise<string> {
      const log = join(folder, "trace");
      const calls = "trace=write,writev,pwrite64,openat,connect,socket,execve,fork,vfork";
      const traced = {
        ...ours,
        command: strace.command,
        args: ["-f", "-qq", "-o", log, "-e", calls, ours.command],
      };
      const args = ["--decryption-keys-path", keys, ...flags];
      const result = await decode(traced, {
        layer: layer.ciphertext,
        payload: payload(layer.descriptor),
        args,
      });
      if (layer === LARGE) expectPlaintext(result, layer);
      return readFileSync(log, "utf8");
    }

    test("plaintext is written only to stdout, and only after the whole layer was read", async () => {
      for (const flags of [[], ["--spool-memory=4K"]]) {
        const log = await trace(LARGE, flags);
        expect(log).toMatch(/write\(1, /);
        const forged = await trace(
          { ...LARGE, ciphertext: flipBit(LARGE.ciphertext, LARGE.ciphertext.length - 1) },
          flags,
        );
        expect(forged).not.toMatch(/write[v64]*\(1, /);
        // Beside what the runtime opens for itself, the only file for writing is the nameless one.
        const written = log
          .split("\n")
          .filter(
            (line) => /openat\(.*O_(WRONLY|RDWR)/.test(line) && !/"\/(dev\/null|proc\/self\/)/.test(line),
          );
        expect(written.filter((line) => !line.includes("O_TMPFILE"))).toEqual([]);
        expect(written.length).toBe(flags.length);
      }
    });

    test("on two threads, the one that hashed the layer writes it to a larger pipe", async () => {
      const calls = "-f -qq -o trace -e trace=write,fcntl";
      const traced = `strace ${calls} "${ours.command}" --decryption-keys-path "${keys}" 3<payload <layer`;
      const result = await shell(`${traced} | sha256sum`, sized(LARGE, WORKER_BYTES + 1));
      expect(result.stdout.toString()).toContain(sha(LARGE.plaintext));
      const lines = readFileSync(join(folder, "trace"), "utf8");
      const threadsOf = (call: RegExp) => Array.from(lines.matchAll(call), ([, thread]) => thread);
      const enlarging = threadsOf(/^(\d+) +fcntl\(1, F_SETPIPE_SZ, 262144\) += 262144$/gm);
      const writing = new Set(threadsOf(/^(\d+) +write\(1, /gm));
      expect(enlarging).toHaveLength(1);
      expect(writing.size).toBe(1);
      expect(writing).not.toContain(enlarging[0]);
    });

    test("it starts no program and opens no connection", async () => {
      const log = await trace(LARGE, []);
      expect(log.match(/execve\(/g)).toHaveLength(1);
      expect(log).not.toMatch(/connect\(|AF_INET/);
    });
  });
});

const sha = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

async function collect(stream: AsyncIterable<unknown>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

let fifos = 0;
async function fifo(): Promise<{ read: number; write: number }> {
  const path = join(folder, `fifo-${++fifos}`);
  await output({ name: "mkfifo", command: "mkfifo", args: [] }, [path]);
  const both = openSync(path, constants.O_RDWR);
  const ends = { read: openSync(path, constants.O_RDONLY), write: openSync(path, constants.O_WRONLY) };
  closeSync(both);
  return ends;
}

/** Runs the decoder on non-blocking pipes. The reader starts only after the decoder has waited for a while. */
async function nonBlocking(layer: Sealed, flags: readonly string[]): Promise<Finished> {
  const [stdin, stdout, stderr, fd3] = await Promise.all([fifo(), fifo(), fifo(), fifo()]);
  const child = spawn(ours.command, ["--decryption-keys-path", keys, ...flags], {
    stdio: [stdin.read, stdout.write, stderr.write, fd3.read],
  });
  const ended = new Promise<number | null>((resolve) => child.on("exit", resolve));
  // O_NONBLOCK belongs to the open file, which both processes share; libuv sets it on what it is given.
  const shared = [
    new Socket({ fd: stdin.read, readable: false }),
    new Socket({ fd: stdout.write, readable: false }),
  ];
  for (const fd of [stderr.write, fd3.read]) closeSync(fd);
  writeSync(fd3.write, payload(layer.descriptor));
  closeSync(fd3.write);

  const feed = new Socket({ fd: stdin.write, readable: false, writable: true });
  feed.write(layer.ciphertext.subarray(0, 10 * KiB));
  await new Promise((resolve) => setTimeout(resolve, 150));
  feed.end(layer.ciphertext.subarray(10 * KiB));
  await new Promise((resolve) => setTimeout(resolve, 150));
  for (const socket of shared) socket.destroy();
  const read = (fd: number) => collect(new Socket({ fd, readable: true, writable: false }));
  const [out, err, exit] = await Promise.all([read(stdout.read), read(stderr.read), ended]);
  return { exit, signal: null, stdout: out, stderr: err.toString() };
}
