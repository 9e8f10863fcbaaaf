import { mkdtempSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { lintPolicy } from "../../../src/trust/lint.ts";
import { loadPolicy } from "../../../src/trust/policy/read-policy.ts";
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
  const findingsOf = async (keyPath: string) => {
    writeFileSync(path, JSON.stringify(sigstoreSigned({ keyPath })));
    return await lintPolicy(await loadPolicy(path, SETTINGS), path);
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
