import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { PROJECT } from "../../support/peers.ts";

const MODULE = join(PROJECT, "src/process/signals.ts");

/** Runs a program on the runtime of the executable, ends it once it says that it is busy, and returns how it ended. */
async function ended(
  name: NodeJS.Signals,
  program: string,
): Promise<{ code: unknown; signal: unknown; said: string }> {
  const script = `
    import { endingAtOnce } from ${JSON.stringify(MODULE)};
    const spin = (seconds) => {
      process.stdout.write("busy;");
      for (const start = Date.now(); Date.now() - start < seconds * 1000; );
    };
    for (const name of ["SIGINT", "SIGTERM", "SIGHUP"])
      process.once(name, () => { process.stdout.write("handler"); process.exit(3); });
    ${program}`;
  const child = spawn(join(PROJECT, "node_modules/.bin/bun"), ["-e", script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let said = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    said += text;
    if (said.endsWith("busy;")) child.kill(name);
  });
  const [code, signal] = await once(child, "close");
  return { code, signal, said };
}

describe.each(["SIGINT", "SIGTERM", "SIGHUP"] as const)("%s", (name) => {
  test("ends a busy process at once, where it may", async () => {
    const program = `await endingAtOnce(async () => spin(3600));`;
    expect(await ended(name, program)).toEqual({ code: null, signal: name, said: "busy;" });
  });

  test("is handled again afterwards, also when several ran side by side", async () => {
    const program = `
      await Promise.all([1, 2, 3].map((n) => endingAtOnce(() => new Promise((done) => setTimeout(done, n)))));
      await endingAtOnce(async () => { throw new Error("failed"); }).catch(() => {});
      process.stdout.write("busy;");
      setTimeout(() => {}, 3600_000);`;
    expect(await ended(name, program)).toEqual({ code: 3, signal: null, said: "busy;handler" });
  });
});
