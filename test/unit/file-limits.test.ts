import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { readConfigText } from "../../src/containerd/config.ts";
import { readPasswordFile } from "../../src/keys/named.ts";
import { passwordLookup } from "../../src/keys/passwords.ts";
import { readRecipientFile } from "../../src/keys/recipient.ts";
import { readPin } from "../../src/keys/token/key-file.ts";
import { loadPolicies } from "../../src/keys/token/module-policy.ts";
import { parsePkcs11Uri } from "../../src/keys/token/uri.ts";
import { refuseImmutable } from "../../src/node/distribution.ts";
import { listCopies } from "../../src/node/key-sync.ts";
import { NodeRoot } from "../../src/node/node-root.ts";
import { reportProviders } from "../../src/node/provider-report.ts";
import { readRecord } from "../../src/node/record.ts";
import { runtimeBehind } from "../../src/node/runtime-entry.ts";
import { certificatesFor, systemAuthorities } from "../../src/registry/certificates.ts";
import { readCredentialFile } from "../../src/registry/credential-files.ts";
import { readKubeconfig } from "../../src/tenants/kubeconfig.ts";
import { readScopes } from "../../src/tenants/scopes.ts";
import { SealRecords } from "../../src/tenants/seal-record.ts";
import { readSettings } from "../../src/tenants/settings.ts";
import { readRegistriesD } from "../../src/trust/find/lookaside.ts";
import { readExecProviders } from "../../src/trust/node/exec-provider.ts";
import { registryHosts } from "../../src/trust/node/hosts-toml.ts";
import { loadPolicy } from "../../src/trust/policy/read-policy.ts";
import { readTrustFile } from "../../src/trust/policy/trust-file.ts";
import { temporaryFolder } from "../support/temporary.ts";

const folder = temporaryFolder();
const MiB = 1_048_576;
const HEX = "a".repeat(64);
const RECORD = "var/lib/ctd-decoder/install.json";
const LIST = "keys/..ctd-decoder.json";
const SHOWN_CHARS = 300;
const SETTINGS = { trustedRoot: undefined, unmatched: "reject", scopeIsIdentity: false } as const;

/** Returns what the file holds or what is wrong with it; undefined if it is read like a missing one. */
type Read = (path: string, root: string) => unknown;

const providers: Read = async (path) => (await reportProviders(path, "")).findings[0]?.message;
const system: Read = (_, root) => refuseImmutable(new NodeRoot(root));
const copies: Read = (_, root) => listCopies(new NodeRoot(root), "/keys")[0];

/** A file's name below a root folder, the first of its bytes, the most that are read, and how. The rest is white space. */
const FILES: readonly (readonly [what: string, name: string, text: string, most: number, read: Read])[] = [
  ["containerd's settings", "a.toml", "#", MiB, (_, root) => readConfigText("/a.toml", new NodeRoot(root))],
  ["key providers", "ocicrypt.conf", "{}", MiB, providers],
  ["a password", "password", "x", MiB, async (path) => (await readPasswordFile(path)).bytes.length],
  ["the passwords of keys", "password", "x", MiB, (path) => passwordLookup(path)("key").length],
  ["a PIN", "pin", "x", 16_384, (path) => readPin(parsePkcs11Uri(`pkcs11:?pin-source=file:${path}`))?.length],
  [
    "a policy of PKCS#11 modules",
    "ocicrypt.conf",
    "pkcs11: {}\n",
    16_384,
    (_, root) => loadPolicies({ XDG_CONFIG_HOME: root }, new Map()).length,
  ],
  ["a recipient's key", "key.pem", "-", MiB, (path) => readRecipientFile({ scheme: "jwe", file: path })],
  ["scopes of keys", "scopes.yaml", "#", MiB, readScopes],
  ["settings of tenants", "tenants.toml", "=", MiB, readSettings],
  ["a kubeconfig", "kubeconfig", "{}", MiB, (path) => readKubeconfig(path, {})],
  ["a policy", "policy.json", "{}", 4 * MiB, (path) => loadPolicy(path, SETTINGS)],
  ["a file of a policy", "key.pem", "-", MiB, (path) => readTrustFile(path).name],
  ["credentials", "auth.json", "{}", MiB, readCredentialFile],
  ["a registry's certificate", "a.crt", "-", 4 * MiB, (_, root) => certificatesFor("host", {}, root)],
  ["the system's certificates", "a.pem", "-", 4 * MiB, (path) => systemAuthorities({ SSL_CERT_FILE: path })],
  ["an installation's record", RECORD, "{}", MiB, (_, root) => readRecord(new NodeRoot(root))],
  ["the list of copied keys", LIST, '{"copies":[{"name":"a","sha256":""}]}', MiB, copies],
  [
    "a runtime's entry",
    "a",
    "runtime='runc'\n",
    16_384,
    (_, root) => runtimeBehind(new NodeRoot(root), "/a"),
  ],
  ["registries.d", "a.yaml", "#", MiB, (_, root) => readRegistriesD(root)],
  ["a registry's servers", "host/hosts.toml", "#", MiB, (_, root) => registryHosts([root], "host")],
  [
    "a server's certificate",
    "a.crt",
    "-",
    4 * MiB,
    (path, root) => {
      mkdirSync(join(root, "host"), { recursive: true });
      writeFileSync(join(root, "host/hosts.toml"), `server = "https://host"\nca = ${JSON.stringify(path)}\n`);
      return registryHosts([root], "host");
    },
  ],
  [
    "kubelet's providers of credentials",
    "a.yaml",
    "providers: []\n",
    MiB,
    (path, root) => readExecProviders(path, root),
  ],
  ["the system's name", "etc/os-release", "ID=talos\n", 65_536, system],
  ["a seal record", `${HEX}/a.json`, "{}", 16_384, (_, root) => new SealRecords(root).of(`sha256:${HEX}`)],
];

test.each(FILES)("%s: no more than the limit is read", async (_what, name, text, most, read) => {
  const root = mkdtempSync(join(folder, "root-"));
  const path = join(root, name);
  mkdirSync(dirname(path), { recursive: true });
  const outcome = async (size: number) => {
    writeFileSync(path, text.padEnd(size));
    try {
      return String((await read(path, root)) ?? "nothing").slice(0, SHOWN_CHARS);
    } catch (error) {
      return error instanceof Error ? error.message : "";
    }
  };
  const tooLong = /larger than|too long|are the most|cannot read|^nothing$/;
  expect(await outcome(most)).not.toMatch(tooLong);
  expect(await outcome(most + 1)).toMatch(tooLong);
});
