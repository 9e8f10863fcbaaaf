import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { COMMANDS } from "../../src/cli/commands.ts";
import type { ErrorCode } from "../../src/errors.ts";
import { command, ONE_ERROR, rsaKeys, succeed } from "../support/cli.ts";
import { diffId, tar } from "../support/images.ts";
import { putPlatforms } from "../support/layouts.ts";
import { describeWith, ours } from "../support/peers.ts";
import { temporaryFolder } from "../support/temporary.ts";

/**
 * Errors of every command, with --json: the code and exit code, the message on standard output and error, and that nothing
 * is written besides. Names are relative to a folder in which only the tests' own files exist.
 */
const folder = temporaryFolder();
const cwd = folder;

beforeAll(async () => {
  await rsaKeys(join(folder, "keys"), "node");
  const bytes = await tar({ "hello.txt": Buffer.from("hello") });
  putPlatforms(join(folder, "plain"), [{ bytes, compression: "none", diffId: diffId(bytes) }]);
  await succeed(["encrypt", "-q", ...FOR_NODE, "oci:plain", "oci:encrypted:v1"], { cwd });
  await succeed(["keygen", "-q", "--for", "signing", "signer"], { cwd, env: { COSIGN_PASSWORD: "" } });
  writeFileSync(join(folder, "bad.json"), "{");
  writeFileSync(join(folder, "policy.json"), '{"default": [{"type": "reject"}]}');
  writeFileSync(join(folder, "comments.toml"), "# no processors\n");
  mkdirSync(join(folder, "root"));
  writeFileSync(join(folder, "plain.tar"), await tar({ "oci-layout": Buffer.from("{}") }));
});

const FOR_NODE = ["--recipient", "jwe:keys/node.pub.pem"];
const WITH_KEY = ["--key", "keys/node.pem"];
const SIGNED_BY = ["--key", "signer.pub"];
/** A port on which nothing listens. */
const NOWHERE = "127.0.0.1:1/app";

interface Failure {
  readonly run: readonly string[];
  readonly code: ErrorCode;
  readonly message: RegExp;
  readonly hint?: RegExp;
  /** Fields of the result beside the error. */
  readonly result?: readonly string[];
}

/** Standard output is for an archive or a key, so the JSON goes to standard error. */
const PIPED: readonly Failure[] = [
  { run: ["encrypt", "--bogus", "oci:plain", "-"], code: "USAGE", message: /unknown option --bogus/ },
  { run: ["encrypt", "oci:plain", "-", "--bogus"], code: "USAGE", message: /unknown option --bogus/ },
  { run: ["encrypt", "oci:plain", "-", "more"], code: "USAGE", message: /unexpected argument "more"/ },
  { run: ["encrypt", "--bogus", "oci:plain", "oci-archive:-:v1"], code: "USAGE", message: /unknown option/ },
  { run: ["decrypt", ...WITH_KEY, "oci:none", "docker-archive:-:app:1"], code: "NOT_FOUND", message: /none/ },
  { run: ["encrypt", "oci:plain", "-"], code: "USAGE", message: /no recipient/ },
  { run: ["encrypt", ...FOR_NODE, "oci:none", "-"], code: "NOT_FOUND", message: /none/ },
  { run: ["decrypt", "--bogus=1", "oci:encrypted", "-"], code: "USAGE", message: /unknown option --bogus/ },
  { run: ["decrypt", ...WITH_KEY, "oci:encrypted:v2", "-"], code: "NOT_FOUND", message: /v2/ },
  { run: ["rewrap", "--only", "oci:encrypted", "-"], code: "USAGE", message: /--only needs/ },
  { run: ["keygen", "-"], code: "USAGE", message: /file for the public key/, hint: /--public-key/ },
  { run: ["keygen", "--curve", "P-1", "-"], code: "USAGE", message: /--curve takes/ },
];

const LINE: readonly Failure[] = [
  { run: ["frobnicate"], code: "USAGE", message: /^"frobnicate" is not a command$/, hint: /are encrypt, / },
  { run: ["encrpyt"], code: "USAGE", message: /^"encrpyt" is not a command \(did you mean encrypt\?\)/ },
  {
    run: ["trust"],
    code: "USAGE",
    message: /"trust" is a group of commands/,
    hint: /trust check, trust blob/,
  },
  {
    run: ["encrypt", "-r", "node.pub", "oci:a", "oci:b"],
    code: "USAGE",
    message: /"node.pub" is not a recipient/,
    hint: /jwe:node.pub$/,
  },
  { run: ["trust", "chek"], code: "USAGE", message: /did you mean trust check\?/ },
];

const IMAGES: readonly Failure[] = [
  { run: ["encrypt", "--bogus=1", "-", "oci:out"], code: "USAGE", message: /unknown option --bogus/ },
  { run: ["encrypt"], code: "USAGE", message: /SOURCE is missing/, hint: /usage: ctd-decoder encrypt / },
  { run: ["encrypt", "oci:a"], code: "USAGE", message: /DEST is missing/ },
  { run: ["encrypt", "oci:a", "oci:b", "oci:c"], code: "USAGE", message: /unexpected argument "oci:c"/ },
  {
    run: ["encrypt", "--recipent", "x"],
    code: "USAGE",
    message: /unknown option --recipent \(did you mean --recipient/,
  },
  {
    run: ["encrypt", "oci:a", "oci:b"],
    code: "USAGE",
    message: /no recipient/,
    hint: /--recipient jwe:FILE/,
  },
  { run: ["encrypt", ...FOR_NODE, "ftp://x", "oci:out"], code: "USAGE", message: /does not name an image/ },
  {
    run: ["encrypt", ...FOR_NODE, "--compression", "xz", "oci:plain", "oci:out"],
    code: "USAGE",
    message: /compression/,
  },
  {
    run: ["encrypt", ...FOR_NODE, "--compression-level", "0", "oci:plain", "oci:out"],
    code: "USAGE",
    message: /1 to 9/,
  },
  {
    run: ["encrypt", ...FOR_NODE, "--entrypoint", "[1]", "rootfs:keys", "oci:out"],
    code: "USAGE",
    message: /entrypoint/,
  },
  { run: ["encrypt", ...FOR_NODE, "oci:plain", "rootfs:out"], code: "USAGE", message: /can't be written/ },
  {
    run: ["encrypt", "--recipient", "rot13:key", "oci:plain", "oci:out"],
    code: "USAGE",
    message: /rot13/,
  },
  {
    run: ["encrypt", "--recipient", "jwe:none.pem", "oci:plain", "oci:out"],
    code: "BAD_RECIPIENT",
    message: /none\.pem/,
  },
  { run: ["encrypt", ...FOR_NODE, "oci:none", "oci:out"], code: "NOT_FOUND", message: /none/ },
  {
    run: ["encrypt", ...FOR_NODE, "--platform", "linux/s390x", "oci:plain", "oci:out"],
    code: "NOT_FOUND",
    message: /linux\/s390x/,
  },
  {
    run: ["encrypt", ...FOR_NODE, "--layer", "1", "oci:plain", "oci:out"],
    code: "NOT_FOUND",
    message: /^layer 1 does not exist: /,
  },
  {
    run: ["encrypt", ...FOR_NODE, "oci:encrypted", "oci:out"],
    code: "BAD_MEDIA_TYPE",
    message: /already encrypted/,
  },
  {
    run: ["encrypt", ...FOR_NODE, "oci:plain", "oci:encrypted:v1"],
    code: "EXISTS",
    message: /already exists/,
  },
  {
    run: ["encrypt", ...FOR_NODE, "oci:plain", `docker://${NOWHERE}`],
    code: "REGISTRY",
    message: /the connection was refused/,
  },
  {
    run: ["decrypt", "oci:encrypted", "oci:out"],
    code: "USAGE",
    message: /no private key/,
    hint: /--key FILE/,
  },
  {
    run: ["decrypt", "--key", "keys/node.pub.pem", "oci:encrypted", "oci:out"],
    code: "BAD_KEY",
    message: /public key/,
  },
  { run: ["decrypt", ...WITH_KEY, "oci:plain", "oci:out"], code: "NOT_FOUND", message: /encrypted/ },
  {
    run: ["decrypt", ...WITH_KEY, "oci:encrypted:v2", "oci:out"],
    code: "NOT_FOUND",
    message: /"v2"/,
    hint: /v1/,
  },
  {
    run: ["rewrap", ...WITH_KEY, "oci:encrypted", "oci:out"],
    code: "USAGE",
    message: /no change of recipients/,
  },
  {
    run: ["rewrap", "--remove", "jwe:NOBODY", "oci:encrypted", "oci:out"],
    code: "BAD_RECIPIENT",
    message: /NOBODY/,
  },
  { run: ["inspect"], code: "USAGE", message: /SOURCE is missing/ },
  {
    run: ["inspect", "--keys", "none", "oci:encrypted"],
    code: "BAD_KEY",
    message: /^the folder of keys none does not exist$/,
  },
  {
    run: ["inspect", "oci:none"],
    code: "NOT_FOUND",
    message: /^the image layout none does not exist$/,
    hint: /oci-layout/,
  },
  { run: ["inspect", "-"], code: "BAD_IMAGE", message: /standard input is empty/, hint: /failed/ },
  { run: ["verify", "oci:encrypted"], code: "USAGE", message: /no private key/ },
  { run: ["verify", ...WITH_KEY, "oci:plain"], code: "NOT_FOUND", message: /encrypted/ },
  {
    run: ["verify", ...WITH_KEY, "--require-recipients", "none", "oci:encrypted"],
    code: "IO",
    message: /none/,
  },
  { run: ["layer", ...WITH_KEY], code: "USAGE", message: /either/ },
  { run: ["layer", "--indx", "0", "oci:encrypted"], code: "USAGE", message: /did you mean --index/ },
  { run: ["layer", ...WITH_KEY, "--descriptor", "x", "oci:encrypted"], code: "USAGE", message: /either/ },
  { run: ["layer", ...WITH_KEY, "oci:encrypted"], code: "USAGE", message: /several platforms/ },
  { run: ["layer", ...WITH_KEY, "--descriptor", "none.json"], code: "IO", message: /none\.json/ },
  {
    run: ["layer", ...WITH_KEY, "--platform", "linux/arm64", "oci:plain"],
    code: "BAD_MEDIA_TYPE",
    message: /not encrypted/,
  },
];

/** Names of what is there in another form, or elsewhere. */
const MISNAMED: readonly Failure[] = [
  {
    run: ["inspect", "oci:bad.json:v1"],
    code: "NOT_FOUND",
    message: /^bad\.json is a file, not an image layout$/,
    hint: /oci-archive:bad\.json or docker-archive:bad\.json$/,
  },
  {
    run: ["inspect", "oci:root"],
    code: "NOT_FOUND",
    message: /^root is not an image layout: it has no oci-layout$/,
    hint: /oci-layout and index\.json/,
  },
  {
    run: ["inspect", "oci:oci-archive:none"],
    code: "NOT_FOUND",
    message: /^the image layout oci-archive does not exist$/,
    hint: /^did you mean oci-archive:none\?$/,
  },
  {
    run: ["inspect", "oci:reg.test/app:1"],
    code: "NOT_FOUND",
    message: /^the image layout reg\.test\/app does not exist$/,
    hint: /^did you mean docker:\/\/reg\.test\/app:1\?$/,
  },
  {
    run: ["inspect", "oci:docker://reg.test/app"],
    code: "USAGE",
    message: /"\/\/reg\.test\/app" is not a tag/,
    hint: /^did you mean docker:\/\/reg\.test\/app\?$/,
  },
  {
    run: ["inspect", "./plain"],
    code: "USAGE",
    message: /does not name an image/,
    hint: /^did you mean oci:\.\/plain\? an image is /,
  },
  {
    run: ["inspect", "/none.tar.gz"],
    code: "USAGE",
    message: /does not name an image/,
    hint: /^did you mean oci-archive:\/none\.tar\.gz\? an image is /,
  },
  { run: ["inspect", "plain"], code: "USAGE", message: /does not name an image/, hint: /^an image is / },
  {
    run: ["inspect", "oci-archive:root"],
    code: "BAD_IMAGE",
    message: /^root is a directory, not an archive$/,
    hint: /^an image layout is read as oci:root$/,
  },
  {
    run: ["inspect", "docker-archive:plain.tar"],
    code: "BAD_IMAGE",
    message: /it has no manifest\.json$/,
    hint: /^it looks like an OCI image archive/,
  },
  {
    run: ["encrypt", ...FOR_NODE, "oci:plain", "oci:bad.json"],
    code: "EXISTS",
    message: /^bad\.json already exists and is not an image layout: it is not a directory$/,
    hint: /a new directory/,
  },
];

const TRUST: readonly Failure[] = [
  { run: ["trust check", "oci:encrypted"], code: "USAGE", message: /no policy, no key/, hint: /--policy/ },
  {
    run: ["trust check", ...SIGNED_BY, "--policy", "policy.json", "oci:encrypted"],
    code: "USAGE",
    message: /excludes --key/,
  },
  ...[
    ["-a", "env=prod"],
    ["--insecure-ignore-tlog=false"],
    ["--insecure-ignore-sct"],
    ["--use-signed-timestamps"],
  ].map((demand) => ({
    run: ["trust check", ...demand, "--policy", "policy.json", "oci:encrypted"] as const,
    code: "USAGE" as const,
    message: /--policy excludes --/,
  })),
  {
    run: ["trust check", ...SIGNED_BY, "--timeout", "0", "oci:encrypted"],
    code: "USAGE",
    message: /--timeout .* from 1 to/,
  },
  { run: ["trust check", "--key", "none", "oci:encrypted"], code: "BAD_KEY", message: /can't read none/ },
  {
    run: ["trust check", "--policy", "bad.json", "oci:encrypted"],
    code: "CONFIG",
    message: /bad\.json .* not JSON/,
  },
  { run: ["trust check", ...SIGNED_BY, "oci:encrypted:v2"], code: "NOT_FOUND", message: /"v2"/, hint: /v1/ },
  { run: ["trust check", ...SIGNED_BY, NOWHERE], code: "REGISTRY", message: /the connection was refused/ },
  {
    run: ["trust check", ...SIGNED_BY, "oci:encrypted"],
    code: "UNTRUSTED",
    message: /not trusted: no signature/,
    result: ["accepted", "digest", "fault", "ignored", "image", "reason", "signatures"],
  },
  {
    run: ["trust blob", "bad.json"],
    code: "USAGE",
    message: /no identity and no key/,
    hint: /with --key, or with/,
  },
  {
    run: ["trust blob", ...SIGNED_BY, "bad.json"],
    code: "USAGE",
    message: /no signature is named/,
    hint: /--bundle/,
  },
  {
    run: ["trust blob", ...SIGNED_BY, "-s", "none", "bad.json"],
    code: "NOT_FOUND",
    message: /can't read none/,
  },
  {
    run: ["trust blob", ...SIGNED_BY, "-s", "bad.json", "bad.json"],
    code: "UNTRUSTED",
    message: /does not count/,
  },
  { run: ["verify-blob", "bad.json"], code: "USAGE", message: /no identity and no key/ },
  {
    run: ["verify-blob", ...SIGNED_BY, "-b", "bad.json", "bad.json"],
    code: "UNTRUSTED",
    message: /malformed/,
  },
  { run: ["trust sums"], code: "USAGE", message: /FILE is missing/ },
  { run: ["trust sums", "none"], code: "NOT_FOUND", message: /can't read none/ },
  {
    run: ["trust sums", "policy.json"],
    code: "CONFIG",
    message: /line 1 .* not a sha256 sum/,
    hint: /--algorithm sha512/,
  },
  {
    run: ["trust attest", ...SIGNED_BY, "bad.json"],
    code: "USAGE",
    message: /no predicate type/,
    hint: /--type any/,
  },
  {
    run: ["trust attest", ...SIGNED_BY, "--type", "spdx", "-b", "bad.json", "bad.json"],
    code: "UNTRUSTED",
    message: /malformed/,
  },
  { run: ["sign", "oci:encrypted"], code: "USAGE", message: /no key is named/, hint: /keygen --for signing/ },
  {
    run: ["sign", "-k", "signer", "oci:encrypted"],
    code: "USAGE",
    message: /under which name/,
    hint: /--sign-container-identity/,
  },
  { run: ["sign", "-k", "signer", "oci-archive:a.tar"], code: "USAGE", message: /can't hold signatures/ },
  { run: ["sign", "-k", "none", NOWHERE], code: "BAD_KEY", message: /none/ },
  {
    run: ["trust explain", "--policy", "policy.json", "UPPER"],
    code: "USAGE",
    message: /"UPPER"/,
    hint: /lower case/,
  },
  {
    run: ["trust explain", "--policy", "none", "app"],
    code: "CONFIG",
    message: /can't read the policy none/,
  },
  { run: ["trust lint"], code: "USAGE", message: /FILE is missing/ },
  { run: ["trust lint", "bad.json"], code: "CONFIG", message: /not JSON \(line \d+, column \d+\)/ },
  { run: ["trust fetch", NOWHERE], code: "USAGE", message: /DIR is missing/ },
  { run: ["trust fetch", NOWHERE, "signatures"], code: "REGISTRY", message: /the connection was refused/ },
  { run: ["trust audit", "image"], code: "USAGE", message: /unexpected argument/ },
  { run: ["trust audit", "--settings", "none"], code: "CONFIG", message: /no such file/ },
  {
    run: ["trust audit", "--settings", "policy.json", "--content-store", "none"],
    code: "CONTENT_STORE",
    message: /can't read containerd's metadata \(/,
    hint: /^containerd makes it .*--content-store names another store$/,
  },
];

const NODE: readonly Failure[] = [
  { run: ["install", "--keep-keys"], code: "USAGE", message: /unknown option --keep-keys/ },
  { run: ["install", "--keys-only"], code: "USAGE", message: /need --keys/ },
  { run: ["install", "--containerd", "9"], code: "USAGE", message: /--containerd takes 1\.x, 2\.x/ },
  { run: ["install", "--root", "none"], code: "NOT_FOUND", message: /none is not a folder/ },
  {
    run: ["install", "--root", "root"],
    code: "NOT_FOUND",
    message: /found no containerd/,
    hint: /--containerd 2\.1/,
  },
  { run: ["uninstall", "--root"], code: "USAGE", message: /--root needs a value/ },
  { run: ["uninstall", "--root", "none"], code: "NOT_FOUND", message: /none is not a folder/ },
  { run: ["doctor", "--containerd", "x"], code: "USAGE", message: /--containerd takes/ },
  {
    run: ["doctor", "--config", "none", "--containerd", "2.1", "--keys-path", "none"],
    code: "UNHEALTHY",
    message: /cannot pull/,
    result: ["containerd", "findings", "healthy", "keys", "missing", "providers", "refusals", "selfTest"],
  },
  { run: ["config"], code: "USAGE", message: /--json needs --check/ },
  { run: ["config", "--root", "root"], code: "USAGE", message: /--root needs --check/ },
  { run: ["config", "--check", "none"], code: "CONFIG", message: /cannot read none/ },
  { run: ["config", "--check", "bad.json"], code: "CONFIG", message: /not valid TOML in line 1/ },
  {
    run: ["config", "--check", "comments.toml", "--containerd", "2.1"],
    code: "UNHEALTHY",
    message: /containerd cannot decrypt/,
    result: ["containerd", "files", "findings", "payload"],
  },
  { run: ["nri", "--index", "1"], code: "USAGE", message: /two digits/ },
  {
    run: ["nri", "--socket", "none"],
    code: "TENANTS",
    message: /none: no such file/,
    hint: /containerd must run/,
  },
  { run: ["keygen"], code: "USAGE", message: /FILE is missing/ },
  { run: ["keygen", "--type", "ec", "--bits", "2048", "out"], code: "USAGE", message: /--bits/ },
  { run: ["keygen", "--bits", "1024", "out"], code: "USAGE", message: /2048/ },
  {
    run: ["keygen", "--for", "signing", "out"],
    code: "USAGE",
    message: /without a terminal/,
    hint: /COSIGN_PASSWORD/,
  },
  { run: ["keygen", "keys/node.pem"], code: "EXISTS", message: /already exists/ },
  { run: ["keygen", "--password-file", "none", "out"], code: "BAD_KEY", message: /none: no such file/ },
  { run: ["completion", "tcsh"], code: "USAGE", message: /tcsh/, hint: /bash, zsh, fish/ },
  { run: ["man", "encrypt"], code: "USAGE", message: /unexpected argument "encrypt"/ },
];

const CASES = [...PIPED, ...LINE, ...IMAGES, ...MISNAMED, ...TRUST, ...NODE].map((it) => {
  const {
    run: [name = "", ...args],
    ...expected
  } = it;
  return {
    args: [...name.split(" "), ...args],
    isPiped: name === "layer" || PIPED.includes(it),
    ...expected,
  };
});

describeWith([ours], "an error with --json", {}, () => {
  test.each(CASES)("$code: $args", async ({ args, isPiped, code, message, hint, result = [] }) => {
    const before = readdirSync(folder, { recursive: true });
    const { exit, stdout, stderr } = await command([...args, "--json"], { cwd, input: Buffer.alloc(0) });
    const lines = (text: string) => text.split(/(?=^ctd-decoder: )/m);
    const json = isPiped ? stderr : stdout.toString();
    const { error, ...rest } = JSON.parse(json);
    expect({ exit, code: error.code }).toEqual({ exit: code === "USAGE" ? 2 : 1, code });
    expect(error.message).toMatch(message);
    expect(error.hint ?? "").toMatch(hint ?? /^/);
    expect(Object.keys(rest).sort()).toEqual(result);
    const text = error.hint === undefined ? [] : [`ctd-decoder: hint: ${error.hint}\n`];
    const shown = [`ctd-decoder: error: ${error.message}\n`, ...text];
    if (isPiped) expect(stdout.toString()).toBe("");
    else expect(lines(stderr)).toEqual(shown);
    expect(readdirSync(folder, { recursive: true })).toEqual(before);
  });

  test("is tested for each command, and its wrong usage too", () => {
    const tested = (isUsage: boolean) => {
      const cases = CASES.filter(({ code }) => (code === "USAGE") === isUsage);
      return ({ name }: { name: string }) =>
        cases.some(({ args }) => args.slice(0, name.split(" ").length).join(" ") === name);
    };
    const names = (commands: typeof COMMANDS) => commands.map(({ name }) => name);
    expect(names(COMMANDS.filter((it) => !tested(true)(it)))).toEqual([]);
    expect(names(COMMANDS.filter((it) => !tested(false)(it)))).toEqual(["completion", "man"]);
  });
});

describeWith([ours], "an error without --json", {}, () => {
  test.each([
    [2, ["encrypt", "oci:a", "oci:b"]],
    [1, ["decrypt", ...WITH_KEY, "oci:encrypted:v2", "oci:out"]],
    [1, ["trust", "check", ...SIGNED_BY, "oci:encrypted:v2"]],
    [1, ["install", "--root", "root"]],
    [2, ["layer", ...WITH_KEY]],
  ])("exit code %i, nothing on standard output: %j", async (code, args) => {
    const { exit, stdout, stderr } = await command(args, { cwd });
    expect({ exit, stdout: stdout.toString() }).toEqual({ exit: code, stdout: "" });
    expect(stderr).toMatch(ONE_ERROR);
  });
});
