import { chmodSync, mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { reportDecoder } from "../../../src/node/decoder-report.ts";
import { NodeRoot } from "../../../src/node/node-root.ts";
import { checkProgram } from "../../../src/node/program.ts";
import { lastRefusals } from "../../../src/node/refusals.ts";
import { Service } from "../../../src/node/service.ts";
import { FakeTimers } from "../../support/fake-timers.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const folder = temporaryFolder();
const WAITS = "exec sleep 1000";
const SECOND = 1000;
const MINUTE = 60 * SECOND;

/** A folder with a program of this name, in which systemctl and other programs of the system are found as usual. */
function program(name: string, script: string): { readonly path: string; readonly PATH: string } {
  const bin = mkdtempSync(join(folder, "bin-"));
  const path = join(bin, name);
  writeFileSync(path, `#!/bin/sh\n${script}\n`);
  chmodSync(path, 0o755);
  return { path, PATH: `${bin}:/usr/bin:/bin` };
}

function journal(script: string): Promise<readonly object[]> {
  return lastRefusals({ PATH: program("journalctl", script).PATH });
}

async function decoder(script: string): Promise<string | undefined> {
  const { path, PATH } = program("ctd-decoder", script);
  const { version, findings } = await reportDecoder(path, { PATH });
  return version ?? findings[0]?.message;
}

async function trial(script: string): Promise<string> {
  const { path, PATH } = program("ctd-decoder", script);
  return await checkProgram(new NodeRoot("/"), path, { PATH }).then(
    () => "it runs",
    ({ message }) => message,
  );
}

/** A service of a node whose service manager does this. It is reached by nsenter. */
function service(script: string): Service {
  const root = mkdtempSync(join(folder, "root-"));
  mkdirSync(join(root, "run/systemd/system"), { recursive: true });
  return new Service(new NodeRoot(root), "containerd", { PATH: program("nsenter", script).PATH });
}

test.each<[what: string, milliseconds: number, run: () => Promise<unknown>, end: object]>([
  ["the journal", 10 * SECOND, () => journal(WAITS), { value: [] }],
  ["a decoder", 10 * SECOND, () => decoder(WAITS), { value: expect.stringContaining("another program") }],
  ["a trial run", MINUTE, () => trial(WAITS), { value: expect.stringContaining("did not end in time") }],
  ["a check of a service", 30 * SECOND, () => service(WAITS).check(), { status: "rejected" }],
  ["the status of a service", 30 * SECOND, () => service(WAITS).isRunning(), { value: false }],
  ["a restart", 5 * MINUTE, () => service(WAITS).restart(), { value: expect.stringContaining("failed") }],
])("%s may take %i ms, and no longer", async (_what, milliseconds, run, end) => {
  const timers = new FakeTimers();
  const running = run();
  await timers.started(1);
  expect(await timers.endOf(running, milliseconds)).toMatchObject(end);
});

const VERSION = "ctd-decoder 1.2.3";
const GO_USAGE = "call-out from containerd content stream plugins";
const ENTRY = JSON.stringify({ MESSAGE: "x", __REALTIME_TIMESTAMP: "0" });

/** A text that ends after so many bytes. */
const endingAt = (size: number, text: string) => `printf '%${size}s' '${text}'`;
/** A text that is followed by spaces, up to so many bytes. */
const beginningWith = (text: string, size: number) => `printf '%-${size}s' '${text}'`;

test.each<[what: string, most: number, run: (size: number) => Promise<unknown>, read: unknown]>([
  ["the journal's answer", 256 * 1024, (size) => journal(endingAt(size, ENTRY)), [expect.anything()]],
  ["a decoder's version", 16 * 1024, (size) => decoder(beginningWith(VERSION, size)), VERSION],
  [
    "a decoder's complaint",
    16 * 1024,
    (size) => decoder(`${endingAt(size, GO_USAGE)} >&2; exit 1`),
    expect.stringContaining("containerd/imgcrypt, in Go"),
  ],
  ["a trial run's version", 16 * 1024, (size) => trial(beginningWith(VERSION, size)), "it runs"],
  [
    "a trial run's complaint",
    16 * 1024,
    (size) => trial(`${endingAt(size, "GLIBC_2.99 not found")} >&2; exit 1`),
    expect.stringContaining("needs glibc 2.99"),
  ],
  [
    "a service manager's answer",
    16 * 1024,
    (size) => service(beginningWith("active", size)).isRunning(),
    true,
  ],
  [
    "a service manager's complaint",
    16 * 1024,
    (size) => service(`${endingAt(size, "\nerror: at the end")} >&2; exit 1`).restart(),
    "error: at the end",
  ],
])("%s is read up to %i bytes", async (_what, most, run, read) => {
  expect(await run(most)).toEqual(read);
  expect(await run(most + 1)).not.toEqual(read);
});
