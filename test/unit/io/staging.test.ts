import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmdirSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { expect, test, vi } from "vitest";
import { exists, hostName, makeFolder, Staging, writeDurably } from "../../../src/io/staging.ts";
import { describeWith, PROJECT, run, strace } from "../../support/peers.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const folder = temporaryFolder();
let files = 0;
const newPath = () => join(folder, String(files++));

async function* later(chunks: readonly Uint8Array[], failure?: Error): AsyncGenerator<Uint8Array> {
  for (const chunk of chunks) yield chunk;
  if (failure !== undefined) throw failure;
}

test("a folder that a dead process left is removed with its files, and a live one's stays", async () => {
  const parent = newPath();
  // Linux gives no process an ID above 2^22.
  const [dead, alive] = [2 ** 22 + 1, process.pid].map((pid) => {
    const path = join(parent, `.ctd-decoder-${hostName()}-${pid}-abcdef`);
    mkdirSync(path, { recursive: true });
    writeFileSync(join(path, "part-1"), "unfinished");
    return path;
  });
  const recovered: string[] = [];
  const staging = await Staging.create(parent, async (leftover) => {
    recovered.push(...readdirSync(leftover));
  });
  expect(recovered).toEqual(["part-1"]);
  expect(
    readdirSync(parent)
      .map((name) => join(parent, name))
      .sort(),
  ).toEqual([alive, staging.path].sort());
  expect(staging.newFile()).toBe(join(staging.path, "part-1"));
  await staging.remove();
  expect([dead, alive, staging.path].map((path) => existsSync(path ?? ""))).toEqual([false, true, false]);
});

test("a folder that another process removes meanwhile stops nothing", async () => {
  const parent = newPath();
  mkdirSync(join(parent, `.ctd-decoder-${hostName()}-${2 ** 22 + 1}-abcdef`), { recursive: true });
  const staging = await Staging.create(parent, async (leftover) => rmdirSync(leftover));
  expect(readdirSync(parent).map((name) => join(parent, name))).toEqual([staging.path]);
});

test("a path exists if something has the name, even a link that leads nowhere", async () => {
  const path = newPath();
  expect(await exists(path)).toBe(false);
  symlinkSync("missing", path);
  expect(await exists(path)).toBe(true);
  const file = newPath();
  writeFileSync(file, "");
  expect(await exists(file)).toBe(true);
  expect(await exists(join(file, "below"))).toBe(false);
  await expect(exists(join(folder, "x".repeat(256)))).rejects.toMatchObject({ code: "IO" });
});

test("a folder is made with those above it, and may be there", async () => {
  const path = join(newPath(), "one/two");
  await makeFolder(path);
  await makeFolder(path);
  expect(readdirSync(path)).toEqual([]);
});

test("chunks of any sizes are written in their order", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.uint8Array({ maxLength: 100_000 })), async (chunks) => {
      const path = newPath();
      const whole = Buffer.concat(chunks);
      expect(await writeDurably(path, later(chunks))).toBe(whole.length);
      expect(readFileSync(path).equals(whole)).toBe(true);
    }),
    { numRuns: 30 },
  );
});

test("more than is flushed at once", async () => {
  const path = newPath();
  const chunk = new Uint8Array(1024 * 1024).map((_, i) => i);
  const count = 130;
  expect(await writeDurably(path, later(Array(count).fill(chunk)))).toBe(count * chunk.length);
  expect(readFileSync(path).subarray(-chunk.length).equals(chunk)).toBe(true);
});

test("what the chunks throw is thrown, also while one is being written, and no file is left", async () => {
  const failure = new Error("no more");
  const path = newPath();
  await expect(writeDurably(path, later([new Uint8Array(9_000_000)], failure))).rejects.toBe(failure);
  expect(existsSync(path)).toBe(false);
});

test("an error names the folder rather than the temporary names in it", async () => {
  for (const [part, shown] of [
    [join(folder, ".ctd-decoder-host-1-abcdef/part-1"), folder],
    ["/.ctd-decoder-host-1-abcdef/part-1", "/"],
    [".ctd-decoder-host-1-abcdef/part-1", "."],
    [join(folder, "missing/layer.tar"), join(folder, "missing/layer.tar")],
  ] as const) {
    const message = `can't write ${shown}: no such file or directory`;
    const hint = expect.stringMatching(/^create the folder first/);
    await expect(writeDurably(part, [])).rejects.toMatchObject({ code: "IO", message, hint });
  }
});

test("a file that exists is kept", async () => {
  const path = newPath();
  writeFileSync(path, "mine");
  await expect(writeDurably(path, later([new Uint8Array(1)]))).rejects.toMatchObject({ code: "IO" });
  expect(readFileSync(path, "utf8")).toBe("mine");
});

test("what a planted link names is not written", async () => {
  const [path, victim] = [newPath(), newPath()];
  writeFileSync(victim, "mine");
  symlinkSync(victim, path);
  await expect(writeDurably(path, later([new Uint8Array(1)]))).rejects.toMatchObject({ code: "IO" });
  expect(readFileSync(victim, "utf8")).toBe("mine");
});

test("a write that takes only a part is continued", async () => {
  const probe = await open(newPath(), "wx");
  const prototype = Object.getPrototypeOf(probe) as FileHandle;
  await probe.close();
  const { write } = prototype;
  const lengths: number[] = [];
  const spy = vi.spyOn(prototype, "write").mockImplementation(function (
    this: FileHandle,
    ...args: unknown[]
  ) {
    const [chunk, offset, length] = args as [Uint8Array, number, number];
    lengths.push(length);
    return Reflect.apply(write, this, [chunk, offset, Math.min(length, 4)]);
  } as typeof write);
  try {
    const path = newPath();
    expect(await writeDurably(path, later([Buffer.from("0123456789")]))).toBe(10);
    expect(readFileSync(path, "utf8")).toBe("0123456789");
    expect(lengths).toEqual([10, 6, 2]);
  } finally {
    spy.mockRestore();
  }
});

describeWith([strace], "on the disk", {}, () => {
  test("are a file's bytes before its name, then the name, before the work is done", async () => {
    const place = realpathSync(folder);
    mkdirSync(join(place, "target"));
    const [from, to] = [join(place, "part"), join(place, "target/file")];
    const program = `
      import { writeSync } from "node:fs";
      import { moveDurably, writeDurably } from "${PROJECT}src/io/staging.ts";
      await writeDurably(${JSON.stringify(from)}, [Buffer.from("bytes")]);
      writeSync(1, "written");
      await moveDurably(${JSON.stringify(from)}, ${JSON.stringify(to)});
      writeSync(1, "moved");`;
    const traced = ["-f", "-y", "-e", "trace=fsync,rename,renameat,renameat2,write"];
    const node = [`${PROJECT}node_modules/.bin/node`, "--input-type=module", "-e", program];
    const { exit, stderr } = await run(strace, [...traced, ...node]);
    expect(exit, stderr).toBe(0);
    const steps: readonly (readonly [string, RegExp])[] = [
      ["fsync of the file", new RegExp(`fsync\\(\\d+<${from}>`)],
      ["written", /write\(1<.*"written"/],
      ["rename", new RegExp(`rename\\w*\\(.*"${from}"`)],
      ["fsync of the folder", new RegExp(`fsync\\(\\d+<${place}/target>`)],
      ["moved", /write\(1<.*"moved"/],
    ];
    const lines = stderr.split("\n");
    const seen = lines.flatMap((line) => steps.find(([, pattern]) => pattern.test(line))?.[0] ?? []);
    expect(seen).toEqual(steps.map(([name]) => name));
  });
});
