import { chmodSync, mkdtempSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { NodeRoot } from "../../../src/node/node-root.ts";
import { checkProgram, programOf, runOnNode } from "../../../src/node/program.ts";
import { put } from "../../support/node-root.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const folder = mkdtempSync(join(temporaryFolder(), "programs-"));
let count = 0;

function check(content: string | Buffer, mode = 0o755): Promise<void> {
  const path = join(folder, `program-${count++}`);
  writeFileSync(path, content);
  chmodSync(path, mode);
  return checkProgram(new NodeRoot("/"), path, { PATH: process.env["PATH"] });
}

const script = (lines: string) => `#!/bin/sh\n${lines}\n`;

/** The first bytes of an executable for this machine type (ELF, e_machine). */
function elf(machine: number): Buffer {
  const header = Buffer.alloc(64);
  header.write("\x7fELF\x02\x01\x01", "latin1");
  header.writeUInt16LE(machine, 18);
  return header;
}

test("a program that prints its version runs", async () => {
  await expect(check(script("echo ctd-decoder 1.2.3"))).resolves.toBeUndefined();
});

test.each([
  ["another machine's", elf(0x28), /: it is built for arm, and the node is \w+$/],
  ["another program", script("echo another 1.2"), /: it printed no version$/],
  ["one that only mentions its name", script("echo not ctd-decoder 1.2"), /: it printed no version$/],
  // The bytes of an ELF header's machine in a script, which is none.
  ["a script", Buffer.from("#!/bin/sh\nexit 3 #(\0\n"), /: it printed no version$/],
  ["a failing one", script("echo ctd-decoder 1.2; exit 1"), /: it printed no version$/],
  ["one with a complaint", script("echo; echo 'no library' >&2; exit 1"), /: no library$/],
  [
    "one for a newer C library",
    script('echo "x: version \\`GLIBC_2.99\' not found" >&2; exit 1'),
    /needs glibc 2\.99, and the node has an older one$/,
  ],
  ["one for another processor", script("exit 132"), /the processor lacks an instruction that it needs$/],
  ["one that such a processor ends", script("kill -ILL $$"), /lacks an instruction that it needs$/],
  [
    "one without its loader",
    script("exit 127"),
    /(?:lacks the loader of its C library|needs glibc, and the node has musl)$/,
  ],
  [
    "one that cannot be executed",
    script("exit 126"),
    /cannot execute it: another format, or a folder mounted/,
  ],
])("%s does not run", async (_what, content, message) => {
  await expect(check(content)).rejects.toMatchObject({
    code: "UNHEALTHY",
    message: expect.stringMatching(message),
  });
});

test.each([
  [0x03, "x86"],
  [0x28, "arm"],
  [0x3e, "x64"],
  [0xb7, "arm64"],
  [0xf3, "riscv64"],
])("machine %i is %s", async (machine, name) => {
  // Its own machine's program has no code: that is another complaint.
  const isOwn = name === process.arch.replace("ia32", "x86");
  const problem = check(elf(machine)).catch(({ message }: Error) => message);
  const built = `it is built for ${name}, `;
  expect((await problem)?.includes(built)).toBe(!isOwn);
});

test.each<[names: string[], program: string]>([
  [["proc/self", "bin/x"], "chroot ROOT"],
  [["bin/x"], "chroot ROOT"],
  [["proc/version"], "unshare --root=ROOT --mount-proc"],
])("a node with %j is entered by %s", async (names, program) => {
  const bin = mkdtempSync(join(folder, "bin-"));
  const root = mkdtempSync(join(folder, "root-"));
  for (const name of ["chroot", "unshare"]) {
    writeFileSync(join(bin, name), `#!/bin/sh\necho "${name} $*"\n`);
    chmodSync(join(bin, name), 0o755);
  }
  for (const name of names) put(root, name, "");
  const { output } = await runOnNode(new NodeRoot(root), ["/x", "--version"], { PATH: bin });
  expect(Buffer.from(output).toString()).toBe(`${program.replace("ROOT", root)} /x --version\n`);
});

test("a program of the system that is missing is named", () => {
  expect(programOf("sh", { PATH: "/bin" })).toBe("/bin/sh");
  expect(() => programOf("sh", { PATH: folder })).toThrow("sh is not on PATH");
  expect(() => programOf("sh", {})).toThrow("sh is not on PATH");
});
