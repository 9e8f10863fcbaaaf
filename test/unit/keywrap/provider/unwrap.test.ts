import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { inspect } from "node:util";
import { describe, expect, test, vi } from "vitest";
import { describe as describePacket } from "../../../../src/keywrap/provider/describe.ts";
import { unwrap } from "../../../../src/keywrap/provider/unwrap.ts";
import type { SchemeSettings } from "../../../../src/keywrap/scheme.ts";
import { temporaryFolder } from "../../../support/temporary.ts";
import { base64, contextFor, OPTIONS, requestsIn, script, settingsFor } from "./support.ts";

// All providers here are commands, which must do without it: a layer pays for what is loaded.
vi.mock("../../../../src/keywrap/provider/grpc.ts", () => {
  throw new Error("gRPC was loaded");
});

const folder = temporaryFolder();
const packet = new Uint8Array(Buffer.from("packet"));
const parameters = new Map([
  ["privkeys", [new Uint8Array([1])]],
  ["privkeys-passwords", [null]],
  ["kms", [new Uint8Array(Buffer.from("token")), null]],
  ["other", [new Uint8Array([2])]],
]);

/** A script that answers with the options, whatever it is asked; `before` comes first. */
const answering = (before: string, optsdata = base64(OPTIONS)) =>
  `${before}; printf %s '{"keyunwrapresults":{"optsdata":"${optsdata}"}}'`;

const ask = (provider: object, changes: Partial<SchemeSettings> = {}, name = "kms") =>
  unwrap(packet, contextFor(name, settingsFor(folder, { [name]: provider }, changes), parameters));

const failsWith = (message: RegExp) =>
  expect.objectContaining({ code: "PROVIDER", message: expect.stringMatching(message) });

describe("a provider that knows the packet", () => {
  test("gives the options, as a secret, after one attempt", async () => {
    const context = contextFor("kms", settingsFor(folder, { kms: script(answering("cat >/dev/null")) }));
    const opened = await unwrap(packet, context);
    expect(Buffer.from(opened?.options.bytes ?? []).toString()).toBe(OPTIONS);
    expect(inspect(opened, { depth: 9 })).not.toContain("symkey");
    expect(opened?.key).toBe('key provider "kms"');
    expect(context.spent).toBe(1);
    expect(context.attempts).toEqual([]);
  });

  test("is told its own parameters only", async () => {
    const log = join(folder, "own");
    await ask(script(answering(`cat >${log}`)));
    expect(requestsIn(log)).toMatchObject([
      { op: "keyunwrap", keyunwrapparams: { annotation: base64("packet"), dc: { Parameters: {} } } },
    ]);
    expect(requestsIn(log)).toHaveProperty("[0].keyunwrapparams.dc.Parameters", {
      kms: [base64("token"), null],
    });
  });

  test("of a name without parameters is told none", async () => {
    const log = join(folder, "none");
    await ask(script(answering(`cat >${log}`)), {}, "kms2");
    expect(requestsIn(log)).toHaveProperty("[0].keyunwrapparams.dc.Parameters", {});
  });

  test.each(["privkeys", "privkeys-passwords"])(
    "that is called %s is not handed ocicrypt's list",
    async (name) => {
      const log = join(folder, name);
      await ask(script(answering(`cat >${log}`)), {}, name);
      expect(requestsIn(log)).toHaveProperty("[0].keyunwrapparams.dc.Parameters", {});
    },
  );

  test("is told all with providerLegacyDc, as by Go", async () => {
    const log = join(folder, "legacy");
    await ask(script(answering(`cat >${log}`)), { providerLegacyDc: true });
    expect(requestsIn(log)).toHaveProperty("[0].keyunwrapparams.dc.Parameters", {
      privkeys: ["AQ=="],
      "privkeys-passwords": [null],
      kms: [base64("token"), null],
      other: ["Ag=="],
    });
  });

  test("may answer without reading what it is asked", async () => {
    const long = new Uint8Array(3_000_000);
    const settings = settingsFor(folder, { kms: script(answering("exec <&-")) });
    expect(await unwrap(long, contextFor("kms", settings))).not.toBeNull();
  });

  test("is found on PATH by a bare name, but never in the working directory", async () => {
    const path = join(folder, "kms-tool");
    writeFileSync(path, `#!/bin/sh\n${answering("cat >/dev/null")}\n`, { mode: 0o755 });
    const provider = { cmd: { path: "kms-tool" } };
    const withPath = (PATH: string | undefined) => {
      const { environment, ...settings } = settingsFor(folder, { kms: provider });
      return unwrap(packet, contextFor("kms", { ...settings, environment: { ...environment, PATH } }));
    };
    expect(await withPath(`/nonexistent:${folder}:/usr/bin:/bin`)).not.toBeNull();
    const before = process.cwd();
    process.chdir(folder);
    try {
      for (const PATH of [undefined, "", "/usr/bin::.:/bin", "/nonexistent"]) {
        await expect(withPath(PATH)).rejects.toEqual(failsWith(/"kms".*kms-tool is not on PATH/));
      }
    } finally {
      process.chdir(before);
    }
  });
});

describe("not the provider's layer", () => {
  test("a provider that isn't configured is recorded and never asked", async () => {
    const context = contextFor("other", settingsFor(folder, { kms: script("exit 1") }));
    expect(await unwrap(packet, context)).toBeNull();
    expect(context.attempts).toEqual([
      {
        key: 'key provider "other"',
        outcome: expect.stringContaining("no such key provider"),
        hint: expect.stringContaining("add it to key-providers in"),
      },
    ]);
    expect(context.spent).toBe(0);
  });

  test("without a configuration there are none; the name from the image can't forge a line", async () => {
    const settings = { ...settingsFor(folder, {}), environment: {} };
    const context = contextFor("a\n\u001b[2J\u202eb", settings);
    expect(await unwrap(packet, context)).toBeNull();
    expect(context.attempts[0]?.key).toBe('key provider "a [2J b"');
    const long = contextFor("x".repeat(100_000), settings);
    await unwrap(packet, long);
    expect(String(long.attempts[0]?.key).length).toBeLessThan(1200);
  });

  test("an exhausted budget stops before the provider is asked", async () => {
    const log = join(folder, "budget");
    const context = contextFor("kms", settingsFor(folder, { kms: script(answering(`cat >${log}`)) }));
    context.spend = () => {
      throw new Error("spent");
    };
    await expect(unwrap(packet, context)).rejects.toThrow("spent");
    expect(existsSync(log)).toBe(false);
  });
});

describe("a command that fails is named", () => {
  const notes = join(folder, "notes");
  writeFileSync(notes, "no program", { mode: 0o644 });

  test.each([
    ["exits 5", script("cat >/dev/null; exit 5"), /"kms" ended with exit code 5/],
    ["answers, but exits 1", script(answering("true").concat("; exit 1")), /exit code 1/],
    ["is ended by a signal", script("kill -KILL $$"), /"kms" was killed by SIGKILL/],
    ["prints garbage", script("echo garbage"), /"kms" gave an answer that is not a JSON/],
    ["prints nothing", script("true"), /"kms" gave no answer/],
    ["exits without reading", script("exec <&-; exit 0"), /"kms" gave no answer/],
    ["prints another type", script(`echo '{"keyunwrapresults":7}'`), /"kms" gave an answer without/],
    ["prints no base64", script(answering("true", "?")), /"kms".* is not valid base64/],
    ["is missing", { cmd: { path: "/nonexistent/kms" } }, /"kms".*\/nonexistent\/kms: no such file/],
    ["is not executable", { cmd: { path: notes } }, /"kms".*notes: permission denied/],
    ["is a directory", { cmd: { path: "/etc" } }, /"kms".*\/etc: permission denied/],
    ["has endless arguments", { cmd: { path: "/bin/true", args: ["x".repeat(500_000)] } }, /"kms".*too long/],
    ["prints without end", script("yes"), /"kms" gave an answer of more than 1048576 bytes/],
  ])("%s", async (_what, provider, message) => {
    await expect(ask(provider)).rejects.toEqual(failsWith(message));
  });

  test.each([
    ["is slow", "exec sleep 1000"],
    ["answers and hangs", answering("exec 3>&1 >&3; true").concat("; exec sleep 1000")],
    ["closes stdout and hangs", "exec sleep 1000 >&-"],
  ])("%s", async (_what, text) => {
    await expect(ask(script(text), { providerTimeoutMs: 500 })).rejects.toEqual(
      failsWith(/"kms" did not answer within 0\.5 s/),
    );
  });

  test("options larger than any real ones are refused", async () => {
    const big = base64("x".repeat(65_537));
    await expect(ask(script(answering("true", big)))).rejects.toEqual(
      failsWith(/"kms".*more than 65536 bytes/),
    );
    const most = base64("x".repeat(65_536));
    expect(await ask(script(answering("true", most)))).not.toBeNull();
  });

  describe("its stderr", () => {
    const complaining = script(
      `printf 'no luck\\033[2J\\nat all' >&2; head -c 5000 /dev/zero | tr '\\0' x >&2; exit 5`,
    );

    test("is not echoed", async () => {
      await expect(ask(complaining)).rejects.toEqual(
        expect.objectContaining({ message: expect.not.stringContaining("no luck") }),
      );
    });

    test.each([
      ["exit 5", false, /ended with exit code 5 \(--verbose adds what it writes to stderr\)$/],
      ["exit 5", true, /ended with exit code 5$/],
      ["kill -9 $$", false, /was killed by SIGKILL$/],
    ])("is not missed: %s, verbose %s", async (text, verbose, message) => {
      await expect(ask(script(text), { verbose })).rejects.toEqual(failsWith(message));
    });

    test("is with verbose, on one line and shortened", async () => {
      const error = await ask(complaining, { verbose: true }).catch((it) => it);
      expect(error.message).toMatch(/ended with exit code 5: no luck \[2J at allx+$/);
      expect(error.message.length).toBeLessThan(1200);
    });
  });
});

test("a packet tells nothing without its provider", () => {
  expect(describePacket()).toEqual([{ algorithm: "known to the key provider only" }]);
});
