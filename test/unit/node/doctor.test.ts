import { generateKeyPairSync } from "node:crypto";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { decoderProcessors, renderStanzaFile } from "../../../src/containerd/stream-processors.ts";
import { type Diagnosis, diagnose } from "../../../src/node/doctor.ts";
import { startFakeContainerd } from "../../support/fake-containerd.ts";
import { ENCRYPTED_LAYER, ImageStore } from "../../support/image-store.ts";
import { describeWith, ours } from "../../support/peers.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const folder = temporaryFolder();
const IMAGE = "127.0.0.1:5000/test:enc";
const PRINTED = "containerd github.com/containerd/containerd 1.7.24 abc";
/** Beside other tests, a containerd may run in another file system: then it has a hint. */
const UNFOUND_MESSAGE = "found no running containerd that shares this process's files";
const UNFOUND = expect.objectContaining({ severity: "warning", message: UNFOUND_MESSAGE });
const UNTESTED = {
  severity: "warning",
  message: "no decoder is installed and configured, so none was tested",
  hint: expect.stringContaining("ctd-decoder install"),
};

interface Configured {
  readonly args?: readonly string[];
  readonly env?: readonly string[];
}

describeWith([ours], "a diagnosis", {}, () => {
  let node: string;
  /** A folder of programs: containerd's PATH. */
  let bin: string;
  let keysPath: string;
  let configFile: string;
  let store: ImageStore;

  beforeEach(() => {
    node = mkdtempSync(join(folder, "node-"));
    [bin, keysPath, configFile] = [join(node, "bin"), join(node, "keys"), join(node, "config.toml")];
    for (const path of [bin, keysPath]) mkdirSync(path);
    store = new ImageStore(join(node, "root"));
    putProgram("containerd", `echo '${PRINTED}'`);
    symlinkSync(ours.command, join(bin, "ctd-decoder"));
    putKey("a.pem");
    configure();
  });

  function putProgram(name: string, script: string): void {
    rmSync(join(bin, name), { force: true });
    writeFileSync(join(bin, name), `#!/bin/sh\n${script}\n`);
    chmodSync(join(bin, name), 0o755);
  }

  function putKey(name: string, password?: string): void {
    const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const options = password === undefined ? {} : { cipher: "aes-256-cbc", passphrase: password };
    const pem = privateKey.export({ type: "pkcs8", format: "pem", ...options });
    writeFileSync(join(keysPath, name), pem, { mode: 0o600 });
  }

  function configure({ args = [], env = [] }: Configured = {}): void {
    const command = { path: "ctd-decoder", keysPath, providerConfig: join(node, "providers.json") };
    const processors = new Map(
      [...decoderProcessors(command, false)].map(([id, it]) => [
        id,
        { ...it, args: [...it.args, ...args], env: [...it.env, ...env] },
      ]),
    );
    const text = renderStanzaFile({ containerd: "1.x", version: 2, processors });
    writeFileSync(configFile, text.replace("version = 2", `version = 2\nroot = "${store.root}"`));
  }

  const diagnosed = (options: Partial<Parameters<typeof diagnose>[0]> = {}) =>
    diagnose({
      configFile,
      settings: {
        environment: { PATH: bin },
        providerTimeoutMs: 1000,
        providerLegacyDc: false,
        verbose: false,
      },
      ...options,
    });
  const said = ({ findings }: Diagnosis) => findings.map(({ message }) => message);

  test("of a healthy node describes everything", async () => {
    putProgram("journalctl", `echo '{"MESSAGE":"refused","__REALTIME_TIMESTAMP":"0"}'`);
    expect(await diagnosed()).toEqual({
      healthy: true,
      containerd: { version: PRINTED, configFile },
      config: { files: [configFile], containerd: "1.7.24", payload: true, findings: expect.any(Array) },
      decoder: {
        path: join(bin, "ctd-decoder"),
        version: expect.stringMatching(/^ctd-decoder \d/),
        findings: [],
      },
      keys: {
        path: keysPath,
        rows: [{ file: "a.pem", kind: "EC P-256", kid: expect.any(String), mode: "0600" }],
        findings: [],
      },
      providers: { path: join(node, "providers.json"), providers: [], findings: [] },
      selfTest: [{ key: "a.pem", scheme: "jwe" }],
      refusals: [{ time: "1970-01-01T00:00:00.000Z", message: "refused" }],
      findings: [UNFOUND],
    });
  });

  test("without a containerd that prints its version assumes none", async () => {
    rmSync(join(bin, "containerd"));
    expect(await diagnosed()).toMatchObject({
      healthy: true,
      containerd: { configFile },
      config: { containerd: "1.x" },
    });
    const version = { major: 2, minor: 2, patch: 1 };
    expect((await diagnosed({ version })).config?.containerd).toBe("2.2.1");
    const settings = { environment: {}, providerTimeoutMs: 1000, providerLegacyDc: false, verbose: false };
    const { containerd, healthy, decoder } = await diagnosed({ settings });
    expect([containerd, healthy, decoder]).toEqual([{ configFile }, false, undefined]);
  });

  test("without a configuration tests no decoder", async () => {
    rmSync(configFile);
    const { healthy, config, decoder, selfTest, findings } = await diagnosed({ keysPath });
    expect({ healthy, config, decoder, selfTest }).toEqual({
      healthy: false,
      config: undefined,
      decoder: undefined,
      selfTest: [],
    });
    expect(findings).toMatchObject([
      UNFOUND,
      { severity: "error", message: expect.stringContaining(configFile) },
      UNTESTED,
    ]);
  });

  test("with a decoder that is not installed tests none", async () => {
    rmSync(join(bin, "ctd-decoder"));
    const { decoder, selfTest, missing, findings } = await diagnosed();
    expect([decoder, selfTest]).toEqual([undefined, []]);
    expect(missing).toEqual(["a decoder that is installed and configured"]);
    expect(findings).toEqual([UNFOUND, UNTESTED]);
    rmSync(join(keysPath, "a.pem"));
    expect((await diagnosed()).missing).toEqual([
      "a private key",
      "a decoder that is installed and configured",
    ]);
  });

  test("is not healthy if one of several keys fails", async () => {
    putKey("b.pem");
    const flag = join(node, "second");
    putProgram(
      "ctd-decoder",
      `if [ "$1" = --version ]; then exec '${ours.command}' "$@"; fi
if [ -e '${flag}' ]; then exec '${ours.command}' "$@"; fi
: >'${flag}'
exit 1`,
    );
    const { healthy, selfTest, findings } = await diagnosed();
    expect(selfTest.map(({ problem }) => problem)).toEqual([expect.any(String), undefined]);
    expect([healthy, findings]).toEqual([false, [UNFOUND]]);
  });

  test("is not healthy if something else is wrong", async () => {
    writeFileSync(join(node, "providers.json"), "[]");
    const { healthy, selfTest, providers } = await diagnosed();
    expect(selfTest).toEqual([{ key: "a.pem", scheme: "jwe" }]);
    expect([healthy, providers?.findings.length]).toEqual([false, 1]);
  });

  describe("loads the keys as the decoder does", () => {
    const files = ({ keys }: Diagnosis) =>
      keys?.rows.map(({ file, skipped }) => (skipped === undefined ? file : `${file} skipped`));

    test("with those that are unusable, and without those of other folders", async () => {
      writeFileSync(
        join(keysPath, "bad.pem"),
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
      );
      putKey("../outside.pem");
      symlinkSync("../outside.pem", join(keysPath, "link.pem"));
      expect(files(await diagnosed())).toEqual(["a.pem", "bad.pem skipped", "link.pem skipped"]);
      configure({ args: ["--no-such-flag"] });
      expect(files(await diagnosed())).toEqual(["a.pem", "bad.pem skipped", "link.pem skipped"]);
      configure({ args: ["--allow-external-symlinks"] });
      expect(files(await diagnosed())).toEqual(["a.pem", "bad.pem skipped", "link.pem"]);
    });

    test("with its passwords", async () => {
      putKey("locked.pem", "secret");
      writeFileSync(join(node, "passwords"), "secret\n", { mode: 0o600 });
      expect(files(await diagnosed())).toEqual(["a.pem", "locked.pem skipped"]);
      configure({ args: ["--key-passwords-path", join(node, "passwords")] });
      const diagnosis = await diagnosed();
      expect(files(diagnosis)).toEqual(["a.pem", "locked.pem"]);
      expect(diagnosis.selfTest.map(({ problem }) => problem)).toEqual([undefined, undefined]);
    });

    test("from another place that is named", async () => {
      const other = join(node, "other");
      mkdirSync(other);
      putKey("../other/b.pem");
      const { keys, selfTest } = await diagnosed({ keysPath: other });
      expect([keys?.path, selfTest]).toEqual([other, [{ key: "b.pem", scheme: "jwe" }]]);
    });
  });

  test("runs the decoder with its variables and args, but without the gate", async () => {
    const args = ["--trust-policy", join(node, "policy.json"), "--allow-external-symlinks"];
    configure({ args, env: ["NAME=a=b"] });
    putProgram("ctd-decoder", 'echo "$NAME $PATH $*" >&2; exit 1');
    const { selfTest, trust } = await diagnosed();
    const keys = `--decryption-keys-path ${keysPath}`;
    expect(selfTest).toMatchObject([{ problem: `a=b ${bin} ${keys} --allow-external-symlinks ${keys}` }]);
    expect(trust).toMatchObject({ settings: join(node, "policy.json"), hasGate: true });
  });

  test("tests the node's keys without the steps for tenants", async () => {
    const kubeconfig = join(node, "none.conf");
    const args = ["--tenant-keys=kubelet", "--kubeconfig", kubeconfig, "--node-name=node-1"];
    configure({ args: [...args, "--sealed-dir", join(node, "sealed"), "-key-scopes", join(node, "none")] });
    const diagnosis = await diagnosed();
    expect(diagnosis.tenants).toBeDefined();
    expect(diagnosis.selfTest).toEqual([{ key: "a.pem", scheme: "jwe" }]);
    rmSync(join(keysPath, "a.pem"));
    const { keys, selfTest, missing } = await diagnosed();
    expect([selfTest, missing]).toEqual([[], ["a private key"]]);
    expect(keys?.findings).toEqual([
      { severity: "note", message: expect.stringMatching(/tenants' Secrets only$/) },
    ]);
    configure({ args: [...args, "--sealed-dir"] });
    const refused = await diagnosed();
    expect(refused.config?.findings).toContainEqual(
      expect.objectContaining({ severity: "error", message: expect.stringMatching(/refuses its args/) }),
    );
  });

  describe("tries the keys on images", () => {
    let chains: string[];
    beforeEach(() => {
      chains = store.add(IMAGE, [ENCRYPTED_LAYER]);
      store.write(chains);
    });
    const UNPACKED = `${IMAGE} is unpacked on this node, and runs although no key here opens it`;

    test("which are named", async () => {
      const diagnosis = await diagnosed({ image: IMAGE });
      expect(diagnosis.image?.platforms).toHaveLength(1);
      expect(said(diagnosis)).toEqual([
        UNFOUND_MESSAGE,
        expect.stringMatching(/^no key here opens layer 0 of the image for /),
      ]);
      expect(diagnosis.healthy).toBe(false);
    });

    test("but not those that are missing", async () => {
      const diagnosis = await diagnosed({ image: "missing" });
      expect(diagnosis.image).toBeUndefined();
      expect(said(diagnosis)).toEqual([UNFOUND_MESSAGE, 'containerd has no image named "missing"']);
    });

    test("which a running containerd has unpacked", async () => {
      const { pid } = await startFakeContainerd(configFile, bin);
      const settings = { environment: {}, providerTimeoutMs: 1000, providerLegacyDc: false, verbose: false };
      const diagnosis = await diagnosed({ settings });
      expect(diagnosis.containerd).toMatchObject({ running: { pid }, configFile });
      expect(diagnosis.selfTest).toEqual([{ key: "a.pem", scheme: "jwe" }]);
      expect(said(diagnosis)).toEqual([UNPACKED]);

      configure({ args: ["--sealed-dir", join(node, "sealed")] });
      const later = new Date(Date.now() + 60_000);
      utimesSync(configFile, later, later);
      const changed = await diagnosed({ version: { major: 1, minor: 7, patch: 24 } });
      expect(said(changed)).toEqual([
        expect.stringMatching(/^containerd \(process \d+\) started before .*config\.toml changed/),
        expect.stringMatching(/^127\.0\.0\.1:5000\/test:enc has a layer without a seal record/),
      ]);
      expect(changed.tenants?.findings.length).toBeGreaterThan(0);
    });
  });
});
