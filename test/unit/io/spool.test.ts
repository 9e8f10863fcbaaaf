import { execFileSync } from "node:child_process";
import {
  chmodSync,
  fstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterEach, expect, test, vi } from "vitest";
import { Spool } from "../../../src/io/spool.ts";
import { openBelow, openFilesBelow } from "../../support/descriptors.ts";
import { describeWith, PROJECT, root, run, strace } from "../../support/peers.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const folder = temporaryFolder();

afterEach(() => vi.unstubAllEnvs());

/** Where this process has a nameless file open below `place`. */
const namelessFiles = (place: string) => openBelow(place).filter((path) => path.endsWith("(deleted)"));

test("what was written is read back from any place", () => {
  const spool = new Spool(folder);
  spool.write(Buffer.from("01234"));
  spool.write(new Uint8Array());
  spool.write(Buffer.from("56789"));
  const buffer = new Uint8Array(4);
  expect([spool.readAt(buffer, 3), Buffer.from(buffer).toString()]).toEqual([4, "3456"]);
  expect([spool.readAt(buffer, 8), Buffer.from(buffer).toString()]).toEqual([2, "8956"]);
  expect(() => spool.readAt(buffer, 10)).toThrow(expect.objectContaining({ code: "IO" }));
  spool.close();
});

test("the file has no name, and is gone after close", () => {
  const place = mkdtempSync(join(folder, "place-"));
  const spool = new Spool(place);
  spool.write(Buffer.from("secret"));
  expect(readdirSync(place)).toEqual([]);
  expect(namelessFiles(place)).toHaveLength(1);
  expect(openFilesBelow(place).map((fd) => fstatSync(fd).mode & 0o777)).toEqual([0o600]);
  spool.close();
  expect(namelessFiles(place)).toEqual([]);
});

test("$TMPDIR is where it goes by default, else /var/tmp", () => {
  vi.stubEnv("TMPDIR", folder);
  const here = new Spool(undefined);
  expect(namelessFiles(folder)).toHaveLength(1);
  here.close();
  vi.stubEnv("TMPDIR", "");
  const there = new Spool(undefined);
  expect(namelessFiles("/var/tmp")).toHaveLength(1);
  there.close();
});

test("a folder that is missing or none is named, with what to do", () => {
  for (const path of [join(folder, "missing"), "/dev/null"]) {
    expect(() => new Spool(path)).toThrow(
      expect.objectContaining({
        code: "IO",
        message: expect.stringContaining(path),
        hint: expect.stringContaining("--spool-dir"),
      }),
    );
  }
});

describeWith([root], "on a file system of its own", {}, () => {
  test("a full one is named", () => {
    const small = join(folder, "small");
    mkdirSync(small);
    chmodSync(small, 0o700);
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", small]);
    try {
      const spool = new Spool(small);
      expect(() => spool.write(new Uint8Array(100_000))).toThrow(
        expect.objectContaining({ code: "IO", message: expect.stringMatching(/small: no space left/) }),
      );
      spool.close();
    } finally {
      execFileSync("umount", [small]);
    }
  });
});

describeWith([strace], "where the file system has no nameless files", {}, () => {
  /** Runs code after the import of Spool. Only the opening of `place` itself fails, as it does there. */
  async function traced(place: string, code: string) {
    mkdirSync(place);
    const program = `
      import { readdirSync, symlinkSync } from "node:fs";
      import { Spool } from "${PROJECT}src/io/spool.ts";
      ${code}`;
    const inject = ["-e", "inject=openat,open:error=EOPNOTSUPP:when=1", "-P", place];
    const node = [`${PROJECT}node_modules/.bin/node`, "--input-type=module", "-e", program];
    const result = await run(strace, ["-f", ...inject, ...node]);
    expect(result.stderr).toMatch(/O_TMPFILE.* = -1 EOPNOTSUPP .*\(INJECTED\)/);
    return result.stdout.toString();
  }

  test("the file gets a name that is removed at once", async () => {
    const place = join(folder, "place");
    const shown = await traced(
      place,
      `const spool = new Spool(${JSON.stringify(place)});
      spool.write(Buffer.from("abc"));
      const buffer = new Uint8Array(3);
      spool.readAt(buffer, 0);
      process.stdout.write(Buffer.from(buffer) + " " + readdirSync(${JSON.stringify(place)}).length);`,
    );
    expect(shown).toBe("abc 0");
  });

  test("a file or link with that name is not used", async () => {
    const [place, victim] = [join(folder, "planted"), join(folder, "victim")];
    writeFileSync(victim, "mine");
    const shown = await traced(
      place,
      `crypto.getRandomValues = (bytes) => bytes;
      symlinkSync(${JSON.stringify(victim)}, ${JSON.stringify(`${place}/.ctd-decoder-${"0".repeat(32)}`)});
      try {
        new Spool(${JSON.stringify(place)}).write(Buffer.from("secret"));
      } catch (error) {
        process.stdout.write(error.code + " " + readdirSync(${JSON.stringify(place)}).length);
      }`,
    );
    expect(shown).toBe("IO 1");
    expect(readFileSync(victim, "utf8")).toBe("mine");
  });
});
