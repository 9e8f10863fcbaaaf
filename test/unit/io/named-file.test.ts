import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, expect, onTestFinished, test, vi } from "vitest";
import { readNamedFile } from "../../../src/io/named-file.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const folder = temporaryFolder();
const children: ChildProcess[] = [];
const file = join(folder, "file");
writeFileSync(file, "0123456789");

afterAll(() => {
  for (const child of children) child.kill("SIGKILL");
});

const text = async (path: string, maxBytes: number) =>
  Buffer.from(await readNamedFile(path, maxBytes)).toString();

test("a file is read up to the limit, through a link too", async () => {
  symlinkSync("file", join(folder, "link"));
  expect(await text(file, 10)).toBe("0123456789");
  expect(await text(join(folder, "link"), 11)).toBe("0123456789");
  expect(await text("/dev/null", 11)).toBe("");
  await expect(readNamedFile(file, 9)).rejects.toThrow("it is larger than 9 bytes");
  await expect(readNamedFile("/dev/zero", 9)).rejects.toThrow("it is larger than 9 bytes");
  await expect(readNamedFile(folder, 9)).rejects.toThrow("it is a directory");
});

test("the memory is its own: zeroing it leaves nothing of the file", async () => {
  expect((await readNamedFile(file, 100)).buffer.byteLength).toBe(10);
});

test("the buffer that it was read into is zeroed, since it may hold a key", async () => {
  const slice = vi.spyOn(Uint8Array.prototype, "slice");
  onTestFinished(() => slice.mockRestore());
  await readNamedFile(file, 100);
  const [buffer] = slice.mock.contexts;
  expect(buffer).toEqual(new Uint8Array(101));
});

test("a pipe is read to its end, byte by byte if need be", async () => {
  const fifo = join(folder, "fifo");
  execFileSync("mkfifo", [fifo]);
  children.push(spawn("sh", ["-c", 'for c in a b c; do printf $c; sleep 0.01; done > "$0"', fifo]));
  expect(await text(fifo, 10)).toBe("abc");
});

test('"-" is standard input, which is read once', () => {
  const source = JSON.stringify(join(import.meta.dirname, "../../../src/io/named-file.ts"));
  const script = `import { readNamedFile } from ${source};
    process.stdout.write(await readNamedFile("-", 10));
    await readNamedFile("-", 10).catch(({ message }) => process.stdout.write(message));`;
  const args = ["--input-type=module", "-e", script];
  const { stdout } = spawnSync(process.execPath, args, { input: "0123456789", encoding: "utf8" });
  expect(stdout).toBe("0123456789standard input can be read only once");
});
