import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { readGateSettings, readTrustSettings } from "../../../src/trust/settings.ts";
import { describeWith, root } from "../../support/peers.ts";
import { temporaryFolder } from "../../support/temporary.ts";

describeWith([root], "a trust.toml", {}, () => {
  const folder = temporaryFolder();
  const file = join(folder, "trust.toml");
  const policy = join(folder, "policy.json");
  writeFileSync(policy, "");
  writeFileSync(join(folder, "root.json"), "{}");

  const read = (...lines: readonly string[]) => {
    writeFileSync(file, lines.join("\n"));
    return readTrustSettings(file);
  };
  const withPolicy = (...lines: readonly string[]) => read(`policy = "${policy}"`, ...lines);

  const DEFAULTS = {
    policy,
    trustedRoot: undefined,
    signatureStores: [],
    authFile: undefined,
    deadlineMs: 8000,
    registriesDir: "/etc/containers/registries.d",
    verdictDir: "/run/ctd-decoder/trust",
    verdictLifeMs: 86_400_000,
    staleIfError: true,
    auditLog: undefined,
    breakGlass: "/etc/containerd/ctd-decoder/break-glass",
    scopeIsIdentity: false,
    unmatched: "reject",
    hostsDir: undefined,
    containerdConfig: undefined,
    credentialProviderConfig: undefined,
    credentialProviderBinDir: undefined,
  };

  test("that names its policy alone has these defaults, and so has a policy without the file", () => {
    expect(withPolicy()).toEqual({ ...DEFAULTS, file: { name: file, bytes: expect.any(Uint8Array) } });
    expect(readGateSettings(policy)).toEqual({ ...DEFAULTS, file: undefined });
    expect(readGateSettings(file)).toMatchObject({ file: { name: file } });
  });

  test("may set everything", () => {
    expect(
      withPolicy(
        `trusted_root = "${folder}/root.json"`,
        'signature_store = ["/a", "/b"]',
        'auth_file = "/auth"',
        'deadline = "5s"',
        'registries_d = "/registries"',
        'verdict_dir = "/verdicts"',
        'verdict_life = "1h"',
        "stale_if_error = false",
        'audit_log = "/log"',
        'break_glass = "/glass"',
        'bundle_identity = "scope"',
        'unmatched = "accept"',
        'hosts_dir = "/hosts"',
        'containerd_config = "/config"',
        'image_credential_provider_config = "/provider"',
        'image_credential_provider_bin_dir = "/bin"',
      ),
    ).toEqual({
      file: expect.anything(),
      policy,
      trustedRoot: {
        name: `${folder}/root.json`,
        path: `${folder}/root.json`,
        bytes: expect.any(Uint8Array),
      },
      signatureStores: ["/a", "/b"],
      authFile: "/auth",
      deadlineMs: 5000,
      registriesDir: "/registries",
      verdictDir: "/verdicts",
      verdictLifeMs: 3_600_000,
      staleIfError: false,
      auditLog: "/log",
      breakGlass: "/glass",
      scopeIsIdentity: true,
      unmatched: "accept",
      hostsDir: "/hosts",
      containerdConfig: "/config",
      credentialProviderConfig: "/provider",
      credentialProviderBinDir: "/bin",
    });
    expect(withPolicy('signature_store = "/a"')).toMatchObject({ signatureStores: ["/a"] });
    const named = withPolicy('bundle_identity = "name"', 'unmatched = "reject"', "stale_if_error = true");
    expect(named).toMatchObject({ scopeIsIdentity: false, unmatched: "reject", staleIfError: true });
  });

  test.each([
    ["", /policy is missing/],
    ["polcy = '/policy.json'", /unknown setting "polcy" \(did you mean policy\?\)$/],
    ["policy = 'policy.json'", /policy is not an absolute path/],
    ["policy = 1", /policy is not an absolute path/],
    ["[", /trust\.toml: it is /],
  ])("of %j alone is refused", (line, message) => {
    expect(() => read(line)).toThrow(message);
  });

  test.each([
    ["auth_file = 'auth'", /auth_file is not an absolute path/],
    ["signature_store = ['/a', 'b']", /signature_store is not a list of absolute paths/],
    ["signature_store = ['/a', 1]", /signature_store is not a list of absolute paths/],
    ["stale_if_error = 'yes'", /stale_if_error is neither true nor false/],
    ["bundle_identity = 'path'", /bundle_identity is not one of name, scope/],
    ["unmatched = true", /unmatched is not one of reject, accept/],
    ["policies = '/a'", /unknown setting "policies"$/],
    ["verdict_dri = '/a'", /unknown setting "verdict_dri" \(did you mean verdict_dir\?\)$/],
    ["toString = '/a'", /unknown setting "toString"/],
  ])("with %s is refused", (line, message) => {
    expect(() => withPolicy(line)).toThrow(message);
  });

  test("is refused with a policy that others may write", () => {
    chmodSync(policy, 0o666);
    try {
      expect(() => withPolicy()).toThrow(/others than root may write/);
      expect(() => readGateSettings(policy)).toThrow(/others than root may write/);
    } finally {
      chmodSync(policy, 0o644);
    }
  });

  describe("has times", () => {
    const life = (value: string) => withPolicy(`verdict_life = ${value}`).verdictLifeMs;

    test.each([
      ['"8s"', 8_000],
      ['"500ms"', 500],
      ['"1ms"', 1],
      ['"2h"', 7_200_000],
      ['"3m"', 180_000],
      ["90", 90_000],
      ['"999999"', 999_999_000],
    ])("%s", (value, expected) => {
      expect(life(value)).toBe(expected);
    });

    const refused = [
      '"8 s"',
      '"-8s"',
      '"8sec"',
      '"0s"',
      '"1000000"',
      "true",
      '["8s"]',
      "{ toString = 1, valueOf = 1 }",
    ];
    test.each(refused)("%s is refused", (value) => {
      expect(() => life(value)).toThrow(/is not a time such as/);
    });
  });
});
