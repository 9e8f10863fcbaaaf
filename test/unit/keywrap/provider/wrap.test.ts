import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { unwrap } from "../../../../src/keywrap/provider/unwrap.ts";
import { prepare } from "../../../../src/keywrap/provider/wrap.ts";
import type { WrapSettings } from "../../../../src/keywrap/scheme.ts";
import { temporaryFolder } from "../../../support/temporary.ts";
import { base64, COMMAND_PROVIDER, contextFor, OPTIONS, requestsIn, script, settingsFor } from "./support.ts";

const folder = temporaryFolder();
const log = (name: string) => join(folder, `${name}.log`);
const vault = (name: string) => ({
  cmd: { path: process.execPath, args: [COMMAND_PROVIDER, "secret", log(name)] },
});
let settings: WrapSettings;

beforeAll(() => {
  const providers = ["kms", "kms.example-1", "privkeys", "two"];
  settings = settingsFor(folder, Object.fromEntries(providers.map((name) => [name, vault(name)])));
});

test("what a provider wrapped it unwraps", async () => {
  const [wrapper] = await prepare(["kms.example-1"], settings);
  const packet = await wrapper?.wrap(Buffer.from(OPTIONS));
  expect(wrapper?.annotation).toBe("provider.kms.example-1");
  expect(Buffer.from(packet ?? []).toString("latin1")).not.toContain("symkey");
  const opened = await unwrap(new Uint8Array(packet ?? []), contextFor("kms.example-1", settings));
  expect(Buffer.from(opened?.options.bytes ?? []).toString()).toBe(OPTIONS);
});

test("each provider wraps once, told all of its own attributes and of no other's", async () => {
  const wrappers = await prepare(["kms", "two:a", "kms:key=4:5", "two:", "kms:é"], settings);
  expect(wrappers.map((wrapper) => wrapper.annotation)).toEqual(["provider.kms", "provider.two"]);
  for (const wrapper of wrappers) await wrapper.wrap(Buffer.from(OPTIONS));
  const asked = (name: string) => requestsIn(log(name)).at(-1);
  expect(asked("kms")).toMatchObject({ op: "keywrap", keywrapparams: { optsdata: base64(OPTIONS) } });
  const parameters = "keywrapparams.ec.Parameters";
  expect(asked("kms")).toHaveProperty(parameters, {
    kms: [base64("Enabled"), base64("key=4:5"), base64("é")],
  });
  expect(asked("two")).toHaveProperty(parameters, { two: [base64("a"), ""] });
});

describe("a recipient that can't be used is named before any layer is touched", () => {
  test.each([
    ["", "an empty name"],
    [":attributes", "an empty name"],
    ["unknown", "no such provider"],
    ["KMS", "another case"],
    ["privkeys", "ocicrypt's own list"],
    ["a,b", "a comma"],
    ["a/b", "a slash"],
    ["a b", "a space"],
    ["kms.", "a dot at the end"],
    ["-kms", "a dash at the start"],
    ["k".repeat(129), "too long a name"],
  ])("provider:%s (%s)", async (recipient) => {
    await expect(prepare(["kms", recipient], settings)).rejects.toEqual(
      expect.objectContaining({
        code: "BAD_RECIPIENT",
        message: expect.stringContaining(`provider:${recipient.split(":")[0]}`),
      }),
    );
  });

  test("without a configuration", async () => {
    await expect(prepare(["kms"], { ...settings, environment: {} })).rejects.toEqual(
      expect.objectContaining({ code: "BAD_RECIPIENT" }),
    );
  });
});

test.each([
  ["fails", "exit 5", /exit code 5/],
  [
    "answers as if asked to unwrap",
    `echo '{"keyunwrapresults":{"optsdata":"b3B0cw=="}}'`,
    /without keywrapresults/,
  ],
  ["gives an empty packet", `echo '{"keywrapresults":{"annotation":""}}'`, /without keywrapresults/],
])("a provider that %s is an error", async (_what, text, message) => {
  const [wrapper] = await prepare(["sh"], settingsFor(folder, { sh: script(text) }));
  await expect(wrapper?.wrap(Buffer.from(OPTIONS))).rejects.toEqual(
    expect.objectContaining({ code: "PROVIDER", message: expect.stringMatching(message) }),
  );
});
