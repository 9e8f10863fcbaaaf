import { execFileSync } from "node:child_process";
import { readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { appendLine } from "../../../src/io/append.ts";
import { openBelow } from "../../support/descriptors.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const folder = temporaryFolder();
const file = (name: string, text?: string) => {
  const path = join(folder, name);
  if (text !== undefined) writeFileSync(path, text);
  return path;
};

describe("a line", () => {
  test.each([
    ["to a file of its own, which only the owner may read", undefined, "line\n"],
    ["to an empty file", "", "line\n"],
    ["after others", "one\ntwo\n", "one\ntwo\nline\n"],
    ["behind one that was cut after its first byte", "{", "{\nline\n"],
    ["after one that was cut short, which it ends", 'one\n{"verdict":"au', 'one\n{"verdict":"au\nline\n'],
  ])("is appended %s", (what, before, after) => {
    const path = file(what.slice(0, 12), before);
    appendLine(path, "line");
    expect(readFileSync(path, "utf8")).toBe(after);
    expect(openBelow(folder)).toEqual([]);
    if (before === undefined) expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  test("is appended to what a link leads to", () => {
    const path = file("target", "one\n");
    symlinkSync(path, join(folder, "link"));
    appendLine(join(folder, "link"), "line");
    expect(readFileSync(path, "utf8")).toBe("one\nline\n");
  });

  test("that only fits in part is an error, and the next one starts a new line", () => {
    const path = file("full");
    // The shell's limit counts blocks of 1,024 bytes. A write beyond it is cut, as on a full disk.
    const script = `import { appendLine } from ${JSON.stringify(join(import.meta.dirname, "../../../src/io/append.ts"))};
      process.on("SIGXFSZ", () => {});
      try { appendLine(process.argv[1], "x".repeat(2000)); } catch (error) { process.stdout.write(error.message); }`;
    const command = 'ulimit -f 1; exec "$0" --input-type=module -e "$1" "$2"';
    // Node.js must not write its cache of compiled code under that limit.
    const { NODE_COMPILE_CACHE: _, ...env } = process.env;
    const args = ["-c", command, process.execPath, script, path];
    const said = execFileSync("bash", args, { encoding: "utf8", env });
    expect(said).toMatch(/only a part of the line/);
    expect(readFileSync(path, "utf8")).toBe("x".repeat(1024));
    appendLine(path, "line");
    expect(readFileSync(path, "utf8")).toBe(`${"x".repeat(1024)}\nline\n`);
  });

  test("to a file that was empty when its size was asked for ends no line", () => {
    // Files of /proc have content, but no size.
    const path = "/proc/self/comm";
    const before = readFileSync(path, "utf8").trimEnd();
    onTestFinished(() => writeFileSync(path, before));
    appendLine(path, "line");
    expect(readFileSync(path, "utf8")).toBe("line\n\n");
  });

  test("to a FIFO that nobody reads fails at once", () => {
    const path = file("fifo");
    execFileSync("mkfifo", [path]);
    expect(() => appendLine(path, "line")).toThrow(expect.objectContaining({ code: "ENXIO" }));
  });

  test("to a folder fails", () => {
    expect(() => appendLine(folder, "line")).toThrow(expect.objectContaining({ code: "EISDIR" }));
  });
});
