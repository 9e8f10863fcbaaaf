import { cpSync, existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { WORKER_BYTES } from "../../src/cipher/authenticator.ts";
import { PAYLOAD_TYPE, parseAny } from "../../src/containerd/payload.ts";
import { any } from "../support/payload.ts";
import { describeWith, type Need, ours, PROJECT, run } from "../support/peers.ts";
import { temporaryFolder } from "../support/temporary.ts";

const HOME = join(PROJECT, "../shared/conformance");
const runCases = { name: "the conformance cases", command: join(HOME, "run-cases"), args: [] };
const cases: Need = existsSync(runCases.command)
  ? runCases
  : { ...runCases, absent: "../shared/conformance is absent" };

/**
 * The cases' layers are small, and a second thread authenticates large ones only. Which are large their descriptors tell,
 * and a layer that is shorter than its descriptor says is still one when its HMAC holds.
 */
describeWith([ours, cases], "the conformance cases on two threads", {}, () => {
  const folder = temporaryFolder();

  test("all that open on one open", async () => {
    const chosen = readdirSync(join(HOME, "cases")).filter(
      (name) => expected(name).exit === 0 && existsSync(file(name, "payload.bin")),
    );
    expect(chosen.length).toBeGreaterThan(40);
    for (const name of chosen) {
      cpSync(join(HOME, "cases", name), join(folder, name), { recursive: true, verbatimSymlinks: true });
      writeFileSync(join(folder, name, "payload.bin"), toldLarge(readFileSync(file(name, "payload.bin"))));
    }
    const flags = process.env["CI"] === "true" ? [] : ["--skip-missing"];
    const { stdout } = await run(runCases, [ours.command, folder, ...flags]);
    expect(stdout.toString()).toMatch(/(^|\n)\d+ passed, 0 failed/);
    expect(stdout.toString()).not.toMatch(/FAIL/);
  });
});

function file(name: string, part: string): string {
  return join(HOME, "cases", name, part);
}

function expected(name: string): { readonly exit: unknown } {
  return JSON.parse(readFileSync(file(name, "case.json"), "utf8")).expect;
}

function toldLarge(payload: Buffer): Buffer {
  const json = JSON.parse(Buffer.from(parseAny(new Uint8Array(payload)).value).toString());
  json.Descriptor.size = WORKER_BYTES + 1;
  return any(PAYLOAD_TYPE, Buffer.from(JSON.stringify(json)));
}
