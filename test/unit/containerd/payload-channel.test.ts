import { execFileSync, spawn } from "node:child_process";
import {
  closeSync,
  constants,
  cpSync,
  openSync,
  readFileSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import type { Writable } from "node:stream";
import { beforeAll, describe, expect, test } from "vitest";
import { PROJECT } from "../../support/peers.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const folder = temporaryFolder();
/** Copies of the sources with limits small enough for a test. Only one gives up early: a slow machine takes a second to start. */
const COPIES = {
  patient: { payloadBytes: "200_000", payloadWaitMs: "120_000" },
  hasty: { payloadBytes: "200_000", payloadWaitMs: "300" },
};

beforeAll(() => {
  for (const [copy, small] of Object.entries(COPIES)) {
    cpSync(`${PROJECT}src`, join(folder, copy), { recursive: true });
    const path = join(folder, copy, "limits.ts");
    let limits = readFileSync(path, "utf8");
    for (const [name, value] of Object.entries(small)) {
      expect(limits).toContain(`export const ${name} = `);
      limits = limits.replace(new RegExp(`(export const ${name} = ).*;`), `$1${value};`);
    }
    writeFileSync(path, limits);
  }
});

/** Reads the payload in a process of the executable's runtime, whose descriptor 3 is `fd`. */
function read(
  fd: number | "pipe" | "none",
  write?: (channel: Writable) => void,
  copy: keyof typeof COPIES | "real" = "patient",
): Promise<unknown> {
  const program = `
    import { readPayloadBytes } from "${copy === "real" ? `${PROJECT}src` : join(folder, copy)}/containerd/payload-channel.ts";
    try {
      const bytes = await readPayloadBytes();
      const isLong = bytes?.length > 1_000_000;
      process.stdout.write(JSON.stringify(isLong ? bytes.length : bytes && Buffer.from(bytes).toString("latin1")));
    } catch (error) {
      process.stdout.write(JSON.stringify({ code: error.code }));
    }`;
  const child = spawn(`${PROJECT}node_modules/.bin/bun`, ["-e", program], {
    stdio: ["ignore", "pipe", "inherit", ...(fd === "none" ? [] : [fd])],
  });
  const channel = child.stdio[3] as Writable | undefined;
  channel?.on("error", () => {});
  if (channel) write?.(channel);
  return new Promise((resolve, reject) => {
    let output = "";
    child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
    child.on("close", () =>
      output === "" ? reject(new Error("it said nothing")) : resolve(JSON.parse(output)),
    );
  });
}

/** Both ends of a pipe. The write end is the test's to close. */
function pipe(name: string): { read: number; write: number } {
  const path = join(folder, name);
  execFileSync("mkfifo", [path]);
  const both = openSync(path, constants.O_RDWR);
  const ends = { read: openSync(path, constants.O_RDONLY), write: openSync(path, constants.O_WRONLY) };
  closeSync(both);
  return ends;
}

describe("there is no payload", () => {
  test("when nothing was passed", async () => expect(await read("none")).toBeNull());

  test.each(["/dev/null", "/"])("when 3 is something else, like %s", async (path) => {
    const fd = openSync(path, constants.O_RDONLY);
    expect(await read(fd)).toBeNull();
    closeSync(fd);
  });
});

test("a payload may be empty", async () => {
  expect(await read("pipe", (channel) => channel.end())).toBe("");
});

describe("the payload is read to its end", () => {
  test("from a pipe", async () => {
    const { read: fd, write } = pipe("whole");
    const reading = read(fd);
    closeSync(fd);
    writeSync(write, "some");
    setTimeout(() => {
      writeSync(write, " bytes");
      closeSync(write);
    }, 50);
    expect(await reading).toBe("some bytes");
  });

  test("from a file", async () => {
    writeFileSync(join(folder, "file"), "some bytes");
    const fd = openSync(join(folder, "file"), "r");
    expect(await read(fd)).toBe("some bytes");
    closeSync(fd);
  });

  test("from a socket, as Node.js passes it, in pieces larger than one read", async () => {
    const bytes = "0123456789".repeat(20_000);
    expect(await read("pipe", (channel) => channel.end(bytes))).toBe(bytes);
  });
});

test("a payload above the limit is refused", async () => {
  expect(await read("pipe", (channel) => channel.end("x".repeat(200_001)))).toEqual({ code: "LIMIT" });
});

test("16 MiB are not above the real limit", async () => {
  const path = join(folder, "large");
  writeFileSync(path, "");
  const sized = async (size: number) => {
    truncateSync(path, size);
    const fd = openSync(path, "r");
    try {
      return await read(fd, undefined, "real");
    } finally {
      closeSync(fd);
    }
  };
  expect(await sized(16_777_216)).toBe(16_777_216);
  expect(await sized(16_777_217)).toEqual({ code: "LIMIT" });
});

test("a pipe that nobody closes is given up", async () => {
  const { read: fd, write } = pipe("open");
  writeSync(write, "some bytes");
  expect(await read(fd, undefined, "hasty")).toEqual({ code: "BAD_PAYLOAD" });
  closeSync(fd);
  closeSync(write);
});

test("a socket that its launcher, such as Node.js, never closes is given up", async () => {
  const write = (channel: Writable) => channel.write("some bytes");
  expect(await read("pipe", write, "hasty")).toEqual({ code: "BAD_PAYLOAD" });
});
