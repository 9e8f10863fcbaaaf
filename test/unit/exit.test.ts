import { spawnSync } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { expect, test } from "vitest";
import { PROJECT } from "../support/peers.ts";

/** Fails with the error that `expression` makes, in a process of its own. */
function failWith(expression: string, stderr: number | "pipe" = "pipe") {
  return runProgram(`fail(${expression}); process.stdout.write("went on");`, stderr);
}

function runProgram(statements: string, stderr: number | "pipe" = "pipe") {
  const program = `
    import { conclude, fail } from "${PROJECT}src/exit.ts";
    import { DecoderError } from "${PROJECT}src/errors.ts";
    ${statements}`;
  const result = spawnSync(`${PROJECT}node_modules/.bin/node`, ["--input-type=module", "-e", program], {
    stdio: ["ignore", "pipe", stderr],
  });
  return { status: result.status, stdout: String(result.stdout), stderr: String(result.stderr) };
}

test("a message, a hint and exit code 1; what was under way may end by itself", () => {
  expect(failWith('new DecoderError("NO_KEY", "no key opens it", { hint: "get one" })')).toEqual({
    status: 1,
    stdout: "went on",
    stderr: "ctd-decoder: error: no key opens it\nctd-decoder: hint: get one\n",
  });
});

test("without a hint there is no line for it", () => {
  expect(failWith('new DecoderError("IO", "it broke")').stderr).toBe("ctd-decoder: error: it broke\n");
});

test("a reader that went away is told nothing", () => {
  const cause = 'Object.assign(new Error("write"), { code: "EPIPE" })';
  expect(failWith(`new DecoderError("IO", "can't write", { cause: ${cause} })`)).toMatchObject({
    status: 1,
    stderr: "",
  });
});

test.each([
  'new TypeError("hunter2")',
  '"hunter2"',
  "undefined",
  'Object.assign(new Error("hunter2"), { code: "EPIPE" })',
])("a defect (%s) is told by its kind: its message may be secret", (expression) => {
  const { status, stderr } = failWith(expression);
  expect(status).toBe(1);
  expect(stderr).toMatch(
    /^ctd-decoder: error: internal error \((TypeError|Error|string|undefined)\)\nctd-decoder: hint: .+\n$/,
  );
  expect(stderr).not.toMatch(/hunter2|\bat /);
});

test("exit code 0 is for work that is done", () => {
  expect(runProgram("conclude(async () => {});")).toEqual({ status: 0, stdout: "", stderr: "" });
});

test.each([
  ["fails", 'async () => { throw new DecoderError("IO", "it broke"); }', /^ctd-decoder: error: it broke\n$/],
  [
    "waits for nothing",
    "() => new Promise(() => {})",
    /^ctd-decoder: error: internal error \(Unfinished\)\n/,
  ],
  [
    "goes on after something else has failed",
    "async () => { setImmediate(() => { throw new TypeError(); }); await new Promise((r) => setTimeout(r, 50)); }",
    /^ctd-decoder: error: internal error \(TypeError\)\n/,
  ],
])("work that %s ends with 1 and a message", (_what, work, message) => {
  const { status, stderr } = runProgram(`conclude(${work});`);
  expect(status).toBe(1);
  expect(stderr).toMatch(message);
});

test("text from outside moves no cursor and forges no line", () => {
  const message = '"a\\nctd-decoder: error: forged\\r\\x1b[2Jb\\u2028c\\u202ed\\x9be"';
  const { stderr } = failWith(`new DecoderError("IO", ${message}, { hint: ${message} })`);
  expect(stderr.split("\n")).toHaveLength(3);
  expect(stderr).not.toMatch(/[^\P{Cc}\n]|[\p{Zl}\p{Cf}]/u);
  expect(stderr).toContain("a ctd-decoder: error: forged [2Jb c d e");
});

test("a message is cut at its limit", () => {
  const { stderr } = failWith(`new DecoderError("IO", "x".repeat(100_000))`);
  expect(stderr).toBe(`ctd-decoder: error: ${"x".repeat(4096)}…\n`);
  const whole = failWith(`new DecoderError("IO", "x".repeat(4096))`);
  expect(whole.stderr).toBe(`ctd-decoder: error: ${"x".repeat(4096)}\n`);
});

test("without anybody to read stderr the code still tells", () => {
  const full = openSync("/dev/full", "w");
  expect(failWith('new DecoderError("IO", "x")', full)).toMatchObject({ status: 1, stdout: "went on" });
  closeSync(full);
});
