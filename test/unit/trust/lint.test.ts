import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { lintPolicy, lintRules, materialsOf, readerBeside } from "../../../src/trust/lint.ts";
import { loadPolicy, parsePolicy } from "../../../src/trust/policy/read-policy.ts";
import { SETTINGS_FOLDER } from "../../../src/trust/settings.ts";
import { describeWith, root } from "../../support/peers.ts";
import { newKey, pemOf, Sigstore, spkiOf } from "../../support/sigstore.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const folder = temporaryFolder();
const SETTINGS = { trustedRoot: undefined, unmatched: "reject", scopeIsIdentity: false } as const;
const KEY = pemOf("PUBLIC KEY", spkiOf(newKey().publicKey));
const CERTIFICATE = pemOf("CERTIFICATE", new Sigstore().rootCertificate);
const base64 = (text: string) => Buffer.from(text).toString("base64");

async function errorsOf(policy: object): Promise<readonly string[]> {
  const path = join(folder, "policy.json");
  writeFileSync(path, JSON.stringify(policy));
  const findings = await lintPolicy(await loadPolicy(path, SETTINGS), path);
  return findings.flatMap(({ severity, message }) => (severity === "error" ? [message] : []));
}

function inFile(content: string): string {
  const path = join(folder, "material.pem");
  writeFileSync(path, content);
  return path;
}

const sigstoreSigned = (fields: object) => ({
  default: [{ type: "reject" }],
  transports: { docker: { "registry.test/shop": [{ type: "sigstoreSigned", ...fields }] } },
});
const kubewarden = (fields: object) => ({ signatures: [{ image: "registry.test/*", ...fields }] });
const cluster = (authority: object) => ({
  apiVersion: "policy.sigstore.dev/v1beta1",
  kind: "ClusterImagePolicy",
  metadata: { name: "shop" },
  spec: { images: [{ glob: "registry.test/**" }], authorities: [authority] },
});
const fulcio = (caData: string) => ({
  fulcio: { caData, oidcIssuer: "https://issuer.test", subjectEmail: "dev@registry.test" },
  rekorPublicKeyData: base64(KEY),
});
const identities = [{ issuer: "https://issuer.test", subject: "dev@registry.test" }];

test.each<[string, (content: string) => object, string]>([
  ["keyPath", (it) => sigstoreSigned({ keyPath: inFile(it) }), KEY],
  ["keyData", (it) => sigstoreSigned({ keyData: base64(it) }), KEY],
  ["fulcio", (it) => sigstoreSigned(fulcio(base64(it))), CERTIFICATE],
  [
    "rekorPublicKeyData",
    (it) => sigstoreSigned({ keyData: base64(KEY), rekorPublicKeyData: base64(it) }),
    KEY,
  ],
  ["pubKeys", (it) => kubewarden({ pubKeys: [it] }), KEY],
  ["certificates", (it) => kubewarden({ certificates: [it] }), CERTIFICATE],
  [
    "certificateChain",
    (it) => kubewarden({ certificates: [CERTIFICATE], certificateChain: [it] }),
    CERTIFICATE,
  ],
  ["key.data", (it) => cluster({ key: { data: it } }), KEY],
  ["ca-cert", (it) => cluster({ keyless: { identities, "ca-cert": { data: it } } }), CERTIFICATE],
])("%s must be what it is used as", async (_field, policy, right) => {
  expect(await errorsOf(policy(right))).toEqual([]);
  for (const wrong of ["junk", right === KEY ? CERTIFICATE : KEY])
    expect(await errorsOf(policy(wrong))).toHaveLength(1);
});

test("a key beside the policy stands for the installed one, and the folder must be ours", async () => {
  const found = mkdtempSync(join(folder, "beside-"));
  const path = join(found, "policy.json");
  const findingsOf = async (keyPath: string, ...isInstalled: [boolean?]) => {
    writeFileSync(path, JSON.stringify(sigstoreSigned({ keyPath })));
    return await lintPolicy(await loadPolicy(path, SETTINGS), path, ...isInstalled);
  };
  const installed = "/etc/containerd/ctd-decoder/never-installed.pub";
  const missing = (file: string) => ({ severity: "error", message: `${file} does not exist` });
  expect(await findingsOf(installed)).toContainEqual(expect.objectContaining(missing(installed)));
  writeFileSync(join(found, "never-installed.pub"), KEY);
  const findings = await findingsOf(installed);
  expect(findings.filter(({ severity }) => severity === "error")).toEqual([]);
  expect(findings).toContainEqual(
    expect.objectContaining({
      severity: "note",
      message: `${installed} does not exist yet, and ${join(found, "never-installed.pub")} was checked instead`,
    }),
  );
  expect(await findingsOf(installed, true)).toContainEqual(expect.objectContaining(missing(installed)));
  const elsewhere = "/etc/other/never-installed.pub";
  expect(await findingsOf(elsewhere)).toContainEqual(expect.objectContaining(missing(elsewhere)));
  writeFileSync(join(found, "never-installed.pub"), CERTIFICATE);
  expect((await findingsOf(installed)).filter(({ severity }) => severity === "error")).toHaveLength(1);
});

test("a policy under which no pod could start is noticed", async () => {
  const messagesOf = async (docker: object) => {
    const path = join(folder, "bootstrap.json");
    writeFileSync(path, JSON.stringify({ default: [{ type: "reject" }], transports: { docker } }));
    const findings = await lintPolicy(await loadPolicy(path, SETTINGS), path);
    return findings.map(({ severity, message }) => `${severity}: ${message}`);
  };
  const rejected = expect.stringMatching(/^warning: registry\.k8s\.io is rejected/);
  expect(await messagesOf({})).toContainEqual(rejected);
  const accepted = { "registry.k8s.io": [{ type: "insecureAcceptAnything" }] };
  expect(await messagesOf(accepted)).not.toContainEqual(rejected);
});

test("a relative path is an error, because a node refuses it", async () => {
  const path = join(folder, "relative.json");
  writeFileSync(path, JSON.stringify(sigstoreSigned({ keyPath: relative(process.cwd(), inFile(KEY)) })));
  const findings = await lintPolicy(await loadPolicy(path, SETTINGS), path);
  expect(findings).toContainEqual({
    severity: "error",
    message: expect.stringMatching(/^the policy names \S+material\.pem by a relative path/),
    hint: "write the path that it has on the node",
  });
});

test("transports and scopes that never match are noticed", async () => {
  const reject = [{ type: "reject" }];
  const messagesOf = async (transports: object) => {
    const path = join(folder, "scopes.json");
    writeFileSync(path, JSON.stringify({ default: reject, transports }));
    const { policy } = await loadPolicy(path, SETTINGS);
    return lintRules(policy).map(({ message }) => message);
  };
  expect(
    await messagesOf({ dokcer: { "a.test": reject, "b.test": reject }, atmoic: { "": reject } }),
  ).toEqual([
    'no transport is named "dokcer", so that its scopes never match',
    'no transport is named "atmoic", so that its scopes never match',
    expect.stringContaining("registry.k8s.io is rejected"),
  ]);
  const docker = { "docker.io/nginx": reject, "docker.io/nginx:1": reject };
  expect(await messagesOf({ docker })).toEqual([
    'docker scope "docker.io/nginx": it does not match docker.io/library/nginx',
    'docker scope "docker.io/nginx:1": it does not match docker.io/library/nginx:1',
    expect.stringContaining("registry.k8s.io is rejected"),
  ]);
  const right = [
    "docker.io",
    "docker.io/library/nginx",
    "docker.io/shop/app:1",
    "a.test:5000/app",
    "a.test",
    "",
  ];
  const all = Object.fromEntries(right.map((scope) => [scope, reject]));
  expect(
    await messagesOf({ docker: all, oci: { "": reject }, "containers-storage": { "": reject } }),
  ).toEqual([expect.stringContaining("registry.k8s.io is rejected")]);
});

const rulesOf = async (policy: object) => {
  const parsed = await parsePolicy(Buffer.from(JSON.stringify(policy)), "policy P", SETTINGS);
  return lintRules(parsed);
};

test.each<[string, string | undefined, string?]>([
  ["registry.test/shop", undefined],
  ["registry.test:5000/shop/app:1", undefined],
  ["localhost/shop", undefined],
  ["localhost", undefined],
  ["registry.test", undefined],
  ["registry:5000", undefined],
  ["*.registry.test", undefined],
  ["https://registry.test", "it never matches", "leave the scheme out"],
  ["registry.test/shop/", "it never matches", "leave the last slash out"],
  ["registry.test/*", "it never matches", "a wildcard stands for the first labels of a host only"],
  ["x*.registry.test", "it never matches", "a wildcard stands for the first labels of a host only"],
  ["shop", "it never matches", "write the registry's name, as in docker.io/library/shop"],
  ["shop/app", "it never matches", "write the registry's name, as in docker.io/library/shop/app"],
  ["registry.test/Shop", "it never matches", "it is not the beginning of an image's name"],
  ["registry.test/https://x", "it never matches", "it is not the beginning of an image's name"],
])("the scope %s: %s", async (scope, problem, hint) => {
  const reject = [{ type: "reject" }];
  const accept = [{ type: "insecureAcceptAnything" }];
  const docker = { [scope]: reject, "registry.k8s.io": accept };
  const findings = await rulesOf({ default: reject, transports: { docker, oci: { "/shop": reject } } });
  const message = `docker scope "${scope}": ${problem}`;
  expect(findings).toEqual(problem === undefined ? [] : [{ severity: "warning", message, hint }]);
});

test("a policy that accepts what it does not name is noticed", async () => {
  const accept = [{ type: "insecureAcceptAnything" }];
  const signed = [{ type: "sigstoreSigned", keyPath: "/missing/key.pub" }];
  const messages = async (policy: object) => (await rulesOf(policy)).map(({ message }) => message);
  const unnamed = "images of registries that the policy does not name are accepted without a signature";
  expect(await messages({ default: accept })).toEqual([unnamed]);
  const bootstrap = "registry.k8s.io is rejected: a node can't pull the pause image, and starts no pod";
  expect(await messages({ default: [{ type: "reject" }] })).toEqual([bootstrap]);
  // A key that is missing is reported elsewhere.
  expect(await messages({ default: signed })).toEqual([]);
});

describeWith([root], "a policy or key", {}, () => {
  test("that others may write is noticed", async () => {
    const found = mkdtempSync(join(folder, "open-"));
    const [path, key] = [join(found, "policy.json"), join(found, "key.pub")];
    writeFileSync(key, KEY);
    writeFileSync(path, JSON.stringify(sigstoreSigned({ keyPath: key })));
    const warnings = async () =>
      (await lintPolicy(await loadPolicy(path, SETTINGS), path))
        .filter(({ message }) => message.startsWith("can't use "))
        .map(({ severity, message, hint }) => [severity, message, hint]);
    expect(await warnings()).toEqual([]);
    for (const file of [path, key]) {
      chmodSync(file, 0o666);
      const message = `can't use ${file}: others than root may write to ${file}`;
      const hint = `run \`chmod go-w ${file}\`: the verifier and the gate refuse such files`;
      expect(await warnings()).toEqual([["warning", message, hint]]);
      chmodSync(file, 0o644);
    }
  });
});

test("a file of several keys is noticed, since only the first counts", async () => {
  const found = mkdtempSync(join(folder, "several-"));
  const [path, key] = [join(found, "policy.json"), join(found, "key.pub")];
  writeFileSync(path, JSON.stringify(sigstoreSigned({ keyPath: key })));
  const several = async (count: number) => {
    writeFileSync(key, KEY.repeat(count));
    const findings = await lintPolicy(await loadPolicy(path, SETTINGS), path);
    return findings.filter(({ message }) => message.startsWith(key));
  };
  expect(await several(1)).toEqual([]);
  expect(await several(2)).toEqual([
    {
      severity: "warning",
      message: `${key} has 2 public keys, of which only the first counts`,
      hint: "put each into a file of its own, and list them in keyPaths",
    },
  ]);
});

test("a file that has two uses is listed for each, and once for each", async () => {
  const [a, b] = ["/a.pub", "/b.pub"];
  const rule = { type: "sigstoreSigned", keyPaths: [a, b], rekorPublicKeyPath: a };
  const gpg = { type: "signedBy", keyType: "GPGKeys", keyPath: a };
  const policy = await parsePolicy(Buffer.from(JSON.stringify({ default: [rule, gpg] })), "P", SETTINGS);
  expect(materialsOf(policy)).toEqual([
    { kind: "keys", path: a },
    { kind: "keys", path: b },
    { kind: "keyring", path: a },
  ]);
});

test("a key that is missing is reported once", async () => {
  const found = mkdtempSync(join(folder, "missing-"));
  const [path, key] = [join(found, "policy.json"), join(found, "key.pub")];
  writeFileSync(path, JSON.stringify(sigstoreSigned({ keyPath: key })));
  const findings = await lintPolicy(await loadPolicy(path, SETTINGS), path);
  expect(findings.filter(({ message }) => message.includes(key))).toEqual([
    { severity: "error", message: `${key} does not exist`, hint: "images of that scope are refused" },
  ]);
});

describe("a key that an installation would copy", () => {
  const found = mkdtempSync(join(folder, "copied-"));
  const path = join(found, "policy.json");
  const key = `${SETTINGS_FOLDER}/none-such.pub`;
  writeFileSync(path, JSON.stringify(sigstoreSigned({ keyPath: key })));
  const remedy = "; put none-such.pub beside the policy, and `ctd-decoder install --trust` copies it";

  test("and that is missing is reported with what to do", async () => {
    const findings = await lintPolicy(await loadPolicy(path, SETTINGS), path);
    const hint = `images of that scope are refused${remedy}`;
    expect(findings).toContainEqual({ severity: "error", message: `${key} does not exist`, hint });
    expect(() => readerBeside(path, () => undefined)(key)).toThrow(
      expect.objectContaining({ code: "BAD_KEY", hint: `the image is refused${remedy}` }),
    );
  });

  test("and that lies beside the policy is read from there", () => {
    writeFileSync(join(found, "none-such.pub"), "beside");
    onTestFinished(() => rmSync(join(found, "none-such.pub")));
    const noted: string[] = [];
    const { bytes } = readerBeside(path, (file, beside) => noted.push(file, beside))(key);
    expect(Buffer.from(bytes).toString()).toBe("beside");
    expect(noted).toEqual([key, join(found, "none-such.pub")]);
  });
});

test("the writers of a policy are checked only if its path is absolute", async () => {
  const found = mkdtempSync(join(folder, "named-"));
  const path = join(found, "policy.json");
  writeFileSync(path, JSON.stringify({ default: [{ type: "reject" }] }), { mode: 0o666 });
  chmodSync(path, 0o666);
  const findingsFor = async (name: string) =>
    (await lintPolicy(await loadPolicy(path, SETTINGS), name)).map(({ message }) => message);
  expect(await findingsFor(path)).toContainEqual(expect.stringContaining(`can't use ${path}`));
  expect(await findingsFor(relative(".", path))).not.toContainEqual(expect.stringContaining("can't use"));
});
