import { describe, expect, test } from "vitest";
import { FLAG_HELP } from "../../../src/decoder/flag-help.ts";
import { type DecoderOptions, FLAGS, type FlagName, parseDecoderFlags } from "../../../src/decoder/flags.ts";

const DEFAULTS: DecoderOptions = {
  keys: { strictKeys: false, allowExternalSymlinks: false },
  store: { useContentStore: true },
  providers: { providerTimeoutMs: 30_000, providerLegacyDc: false, verbose: false },
  release: {
    mode: "verified",
    spoolMemory: 4 * 1024 * 1024,
    spoolDirectory: undefined,
    verifyDigest: false,
    maxExpansion: { times: 200, atLeast: 1024 ** 3 },
  },
  audit: { auditRequired: false, trustCriAnnotations: false, journal: true },
  trust: {},
  tenants: {},
};

/** The defaults, with some options of one part set. */
function withOptions<P extends keyof DecoderOptions>(
  part: P,
  set: Partial<DecoderOptions[P]>,
): DecoderOptions {
  return { ...DEFAULTS, [part]: { ...DEFAULTS[part], ...set } };
}

test("no flags: the defaults", () => {
  expect(parseDecoderFlags([])).toEqual(DEFAULTS);
});

describe("the forms of a flag", () => {
  test.each([
    [["--decryption-keys-path", "/k"]],
    [["-decryption-keys-path", "/k"]],
    [["--decryption-keys-path=/k"]],
    [["-decryption-keys-path=/k"]],
    [["--decryption-keys-path", "/a", "-decryption-keys-path=/k"]],
  ])("%j", (args) => expect(parseDecoderFlags(args)).toEqual(withOptions("keys", { keysPath: "/k" })));

  test.each([
    [["--decryption-keys-path", "--strict-keys"], "--strict-keys"],
    [["--decryption-keys-path", ""], ""],
    [["--decryption-keys-path="], ""],
    [["--decryption-keys-path=a=b\nc"], "a=b\nc"],
  ])("the value is taken as it stands: %j", (args, keysPath) =>
    expect(parseDecoderFlags(args)).toEqual(withOptions("keys", { keysPath })),
  );
});

describe("what each flag sets", () => {
  test.each<[string[], DecoderOptions]>([
    [["--key-passwords-path", "/p"], withOptions("keys", { keyPasswordsPath: "/p" })],
    [["--allow-external-symlinks"], withOptions("keys", { allowExternalSymlinks: true })],
    [["--strict-keys"], withOptions("keys", { strictKeys: true })],
    [["--strict-keys=true"], withOptions("keys", { strictKeys: true })],
    [["--strict-keys", "--strict-keys=false"], withOptions("keys", { strictKeys: false })],
    [["--verify-digest"], withOptions("release", { verifyDigest: true })],
    [["--returns", "tar"], withOptions("release", { returns: "tar" })],
    [["--max-expansion", "10"], withOptions("release", { maxExpansion: { times: 10, atLeast: 65536 } })],
    [
      ["--max-expansion", "10M"],
      withOptions("release", { maxExpansion: { times: 0, atLeast: 10 * 1024 ** 2 } }),
    ],
    [["--max-expansion=10B"], withOptions("release", { maxExpansion: { times: 0, atLeast: 10 } })],
    [["--content-store", "/c"], withOptions("store", { contentStore: "/c" })],
    [["--no-content-store"], withOptions("store", { useContentStore: false })],
    [["--no-content-store=false"], withOptions("store", { useContentStore: true })],
    [["--verbose"], withOptions("providers", { verbose: true })],
    [["--provider-legacy-dc"], withOptions("providers", { providerLegacyDc: true })],
    [["--release", "stream"], withOptions("release", { mode: "stream" })],
    [["--release=stream", "--release=verified"], withOptions("release", { mode: "verified" })],
    [["--spool-dir", "/s"], withOptions("release", { spoolDirectory: "/s" })],
    [["--provider-timeout", "5"], withOptions("providers", { providerTimeoutMs: 5000 })],
    [["--provider-timeout", "0.25"], withOptions("providers", { providerTimeoutMs: 250 })],
    [["--provider-timeout", "5s"], withOptions("providers", { providerTimeoutMs: 5000 })],
    [["--spool-memory", "0"], withOptions("release", { spoolMemory: 0 })],
    [["--spool-memory", "65536"], withOptions("release", { spoolMemory: 65536 })],
    [["--spool-memory", "1B"], withOptions("release", { spoolMemory: 1 })],
    [["--spool-memory", "4k"], withOptions("release", { spoolMemory: 4096 })],
    [["--spool-memory", "4K"], withOptions("release", { spoolMemory: 4096 })],
    [["--spool-memory", "4KiB"], withOptions("release", { spoolMemory: 4096 })],
    [["--spool-memory", "4kb"], withOptions("release", { spoolMemory: 4096 })],
    [["--spool-memory", "2M"], withOptions("release", { spoolMemory: 2 * 1024 ** 2 })],
    [["--spool-memory", "1G"], withOptions("release", { spoolMemory: 1024 ** 3 })],
    [["--audit-log", "/a"], withOptions("audit", { auditLog: "/a" })],
    [["--no-journal"], withOptions("audit", { journal: false })],
    [["--audit-required"], withOptions("audit", { auditRequired: true })],
    [
      ["--trust-policy", "/p"],
      { ...withOptions("release", { verifyDigest: true }), trust: { policyFile: "/p" } },
    ],
    [["--trust-cri-annotations"], withOptions("audit", { trustCriAnnotations: true })],
    [["-no-content-store"], withOptions("store", { useContentStore: false })],
    [["--no-content-store=true"], withOptions("store", { useContentStore: false })],
  ])("%j", (args, options) => expect(parseDecoderFlags(args)).toEqual(options));
});

describe("what is refused", () => {
  test.each([
    [["--unknown"]],
    [["--unknown=1"]],
    [["--"]],
    [["-"]],
    [[""]],
    [["---strict-keys"]],
    [["--Strict-Keys"]],
    [["--constructor"]],
    [["--__proto__=1"]],
    [["--strict-keys", "true"]],
    [["--strict-keys=yes"]],
    [["--strict-keys="]],
    [["--decryption-keys-path"]],
    [["--decryption-keys-path", "/k", "stray"]],
    [["--release", "all"]],
    [["--spool-memory", "-1"]],
    [["--spool-memory", "1.5M"]],
    [["--spool-memory", "1T"]],
    [["--spool-memory", "16 M"]],
    [["--spool-memory", "M"]],
    [["--spool-memory", "999999999999G"]],
    [["--spool-memory="]],
    [["--returns", "tar+gzip"]],
    [["--returns=tar", "--release=stream"]],
    [["--audit-required", "--release=stream"]],
    [["--trust-policy=/p", "--release=stream"]],
    [["--max-expansion", "0"]],
    [["--max-expansion", "-1"]],
    [["--max-expansion", "1.5"]],
    [["--max-expansion", "10x"]],
    [["--provider-timeout", "0"]],
    [["--provider-timeout", "-1"]],
    [["--provider-timeout", "1m"]],
    [["--provider-timeout", "Infinity"]],
  ])("%j", (args) => {
    expect(() => parseDecoderFlags(args)).toThrow(expect.objectContaining({ code: "USAGE" }));
  });
});

test.each([
  ["0", /takes a number from 1 or a size such as 20G, not "0"/],
  ["x10", /takes a size such as 64K, 16M or 1G, not "x10"/],
])("--max-expansion %s is refused with what is wrong", (value, message) => {
  expect(() => parseDecoderFlags([`--max-expansion=${value}`])).toThrow(message);
});

test("every flag is explained, and named as the command line allows", () => {
  expect(Object.keys(FLAG_HELP)).toEqual(Object.keys(FLAGS));
  for (const [name, [, , to]] of Object.entries(FLAGS)) {
    expect(name).toMatch(/^[a-z][a-z0-9-]*$/);
    const { value, help } = FLAG_HELP[name as FlagName];
    expect(help.length).toBeGreaterThan(10);
    expect(value === undefined).toBe(typeof to === "boolean");
  }
});
