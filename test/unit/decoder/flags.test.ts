import { describe, expect, test } from "vitest";
import { type DecoderOptions, FLAGS, parseDecoderFlags } from "../../../src/decoder/flags.ts";

const DEFAULTS: DecoderOptions = {
  strictKeys: false,
  allowExternalSymlinks: false,
  release: "verified",
  spoolMemory: 4 * 1024 * 1024,
  spoolDirectory: undefined,
  verifyDigest: false,
  maxExpansion: { times: 200, atLeast: 1024 ** 3 },
  useContentStore: true,
  providerTimeoutMs: 30_000,
  providerLegacyDc: false,
  verbose: false,
  auditRequired: false,
  trustCriAnnotations: false,
};

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
  ])("%j", (args) => expect(parseDecoderFlags(args)).toEqual({ ...DEFAULTS, keysPath: "/k" }));

  test.each([
    [["--decryption-keys-path", "--strict-keys"], "--strict-keys"],
    [["--decryption-keys-path", ""], ""],
    [["--decryption-keys-path="], ""],
    [["--decryption-keys-path=a=b\nc"], "a=b\nc"],
  ])("the value is taken as it stands: %j", (args, keysPath) =>
    expect(parseDecoderFlags(args)).toEqual({ ...DEFAULTS, keysPath }),
  );
});

describe("what each flag sets", () => {
  test.each<[string[], Partial<DecoderOptions>]>([
    [["--key-passwords-path", "/p"], { keyPasswordsPath: "/p" }],
    [["--allow-external-symlinks"], { allowExternalSymlinks: true }],
    [["--strict-keys"], { strictKeys: true }],
    [["--strict-keys=true"], { strictKeys: true }],
    [["--strict-keys", "--strict-keys=false"], { strictKeys: false }],
    [["--verify-digest"], { verifyDigest: true }],
    [["--returns", "tar"], { returns: "tar" }],
    [["--max-expansion", "10"], { maxExpansion: { times: 10, atLeast: 65536 } }],
    [["--max-expansion", "10M"], { maxExpansion: { times: 0, atLeast: 10 * 1024 ** 2 } }],
    [["--max-expansion=10B"], { maxExpansion: { times: 0, atLeast: 10 } }],
    [["--content-store", "/c"], { contentStore: "/c" }],
    [["--no-content-store"], { useContentStore: false }],
    [["--no-content-store=false"], { useContentStore: true }],
    [["--verbose"], { verbose: true }],
    [["--provider-legacy-dc"], { providerLegacyDc: true }],
    [["--release", "stream"], { release: "stream" }],
    [["--release=stream", "--release=verified"], { release: "verified" }],
    [["--spool-dir", "/s"], { spoolDirectory: "/s" }],
    [["--provider-timeout", "5"], { providerTimeoutMs: 5000 }],
    [["--provider-timeout", "0.25"], { providerTimeoutMs: 250 }],
    [["--provider-timeout", "5s"], { providerTimeoutMs: 5000 }],
    [["--spool-memory", "0"], { spoolMemory: 0 }],
    [["--spool-memory", "65536"], { spoolMemory: 65536 }],
    [["--spool-memory", "1B"], { spoolMemory: 1 }],
    [["--spool-memory", "4k"], { spoolMemory: 4096 }],
    [["--spool-memory", "4K"], { spoolMemory: 4096 }],
    [["--spool-memory", "4KiB"], { spoolMemory: 4096 }],
    [["--spool-memory", "4kb"], { spoolMemory: 4096 }],
    [["--spool-memory", "2M"], { spoolMemory: 2 * 1024 ** 2 }],
    [["--spool-memory", "1G"], { spoolMemory: 1024 ** 3 }],
  ])("%j", (args, set) => expect(parseDecoderFlags(args)).toEqual({ ...DEFAULTS, ...set }));
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

test("every flag is explained, and named as the command line allows", () => {
  for (const [name, { help }] of FLAGS) {
    expect(name).toMatch(/^[a-z][a-z0-9-]*$/);
    expect(help.length).toBeGreaterThan(10);
  }
});
