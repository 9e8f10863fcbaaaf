import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Secret } from "../../../src/secret.ts";
import { guardByNri } from "../../../src/tenants/nri-gate.ts";
import { proofOf, SealRecords } from "../../../src/tenants/seal-record.ts";
import { boltDatabase } from "../../support/bolt.ts";
import { NriDouble } from "../../support/nri.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const folder = temporaryFolder();
const SEALED = `sha256:${"a".repeat(64)}`;
const PLAIN = `sha256:${"b".repeat(64)}`;
const POD = { namespace: "tenant-b", name: "app", uid: "uid" };

describe("the NRI plugin", () => {
  let root: string;
  let containerd: NriDouble | undefined;
  let plugin: Promise<void>;
  const stopping = { controller: new AbortController() };

  beforeEach(async () => {
    root = mkdtempSync(join(folder, "root-"));
    mkdirSync(join(root, "io.containerd.metadata.v1.bolt"));
    const overlayfs = {
      plain: { parent: PLAIN },
      sealed: { parent: SEALED },
      [PLAIN]: {},
      [SEALED]: {},
      [join(root, "volume")]: { parent: SEALED },
    };
    const database = boltDatabase({ v1: { "k8s.io": { snapshots: { overlayfs } } } });
    writeFileSync(join(root, "io.containerd.metadata.v1.bolt/meta.db"), database);
    await new SealRecords(join(root, "records")).write({
      layer: `sha256:${"1".repeat(64)}`,
      chain: SEALED,
      repositories: [],
      owner: "tenant",
      proof: proofOf(new Secret(new Uint8Array(32)), SEALED),
      time: "2026-01-01T00:00:00Z",
    });
    const settings = {
      containerd_root: root,
      sealed_dir: "records",
      verdict_dir: "verdicts",
      kubeconfig: "none",
    };
    const lines = Object.entries(settings).map(
      ([name, it]) => `${name} = ${JSON.stringify(join(root, it === root ? "" : it))}\n`,
    );
    writeFileSync(join(root, "tenants.toml"), lines.join(""));
  });
  afterEach(async () => {
    stopping.controller.abort();
    containerd?.stop();
    await plugin.catch(() => undefined);
  });

  const connect = async (options = {}) => {
    stopping.controller = new AbortController();
    const socket = join(root, "nri.sock");
    containerd = await NriDouble.start(socket, options);
    plugin = guardByNri({
      socket,
      index: "10",
      settingsFile: join(root, "tenants.toml"),
      schemes: { environment: {}, providerTimeoutMs: 1000, providerLegacyDc: false, verbose: false },
      signal: stopping.controller.signal,
    });
    plugin.catch(() => undefined);
    return containerd;
  };

  test.each([1, 7, 10, 11, 65536])("registers as a validator, in pieces of %i bytes", async (pieces) => {
    const nri = await connect({ pieces });
    expect(await nri.accept()).toEqual({ registered: "10-ctd-decoder", validates: true });
    expect(await nri.validate(POD, "plain")).toBeUndefined();
    expect(await nri.validate(POD, "sealed")).toMatch(/can't read .*none/);
  });

  test("looks at image volumes, and at containers that it does not know", async () => {
    const nri = await connect();
    await nri.accept();
    expect(await nri.validate(POD, "plain", ["/etc", join(root, "volume/lib")])).toMatch(/can't read .*none/);
    expect(await nri.validate(POD, "unknown")).toMatch(/containerd has no snapshot of container unknown/);
  });

  test("refuses what takes too long, and requests that are malformed", async () => {
    const nri = await connect({ timeoutMs: 1 });
    await nri.accept();
    expect(await nri.validate(POD, "sealed")).toMatch(/the gate needs more time|can't read/);
    const { failure } = await nri.call("ValidateContainerAdjustment", Buffer.from([0xff]));
    expect(failure).toMatch(/can't be understood/);
    expect((await nri.call("NewMethod", Buffer.alloc(0))).failure).toMatch(/not a method/);
  });

  test("does not connect to a containerd that starts containers without it", async () => {
    const nri = await connect({ version: "v2.1.9" });
    expect((await nri.accept()).failure).toMatch(/containerd v2.1.9 starts containers without waiting/);
  });

  test.each<[string, (nri: NriDouble) => void, RegExp]>([
    ["containerd closes the connection", (nri) => nri.stop(), /containerd closed/],
    [
      "a message is too large",
      (nri) => nri.sendRaw(Buffer.from([0, 0, 0, 1, 0x7f, 0, 0, 0])),
      /sent a message of \d+ bytes/,
    ],
  ])("ends when %s", async (_what, end, message) => {
    const nri = await connect();
    await nri.accept();
    end(nri);
    await expect(plugin).rejects.toThrow(message);
  });

  test("ends quietly when it is told to", async () => {
    const nri = await connect();
    await nri.accept();
    stopping.controller.abort();
    await plugin;
  });
});
