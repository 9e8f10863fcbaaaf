import { existsSync, mkdtempSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, expect, test } from "vitest";
import { renderStanza } from "../../../src/containerd/stream-processors.ts";
import { inspectSource } from "../../../src/image/inspect.ts";
import { ContainerdImages } from "../../../src/node/containerd-images.ts";
import { diagnose } from "../../../src/node/doctor.ts";
import { imageVerdict } from "../../../src/node/image-verdict.ts";
import { ImageStore, PLAIN_LAYER } from "../../support/image-store.ts";
import { describeWith, root } from "../../support/peers.ts";
import { temporaryFolder } from "../../support/temporary.ts";
import { newSigner, storeSignature, writeSettings } from "../../support/trust.ts";

// Nothing listens on this port.
const IMAGE = "127.0.0.1:1/app:1";
const SETTINGS = { environment: {}, providerTimeoutMs: 1000, providerLegacyDc: false, verbose: false };

describeWith([root], "the policy's verdict on an image", {}, () => {
  const base = temporaryFolder();
  const signer = newSigner();
  let [folder, settingsFile, policy] = ["", "", ""];
  let store: ImageStore;

  beforeEach(() => {
    folder = mkdtempSync(join(base, "node-"));
    policy = join(folder, "policy.json");
    writeFileSync(join(folder, "key.pub"), signer.publicKey);
    settingsFile = writeSettings(folder, {
      policy,
      signature_store: join(folder, "signatures"),
      verdict_dir: join(folder, "verdicts"),
    });
    store = new ImageStore(join(folder, "root"));
    store.add(IMAGE, [PLAIN_LAYER]);
    store.write([]);
    require([{ type: "reject" }]);
  });

  const require = (requirements: readonly object[]) =>
    writeFileSync(policy, JSON.stringify({ default: requirements }));
  const images = () => new ContainerdImages(store.root);
  const verdict = async (image = IMAGE) => {
    const source = await images().open(IMAGE);
    if (source === undefined) throw new Error("the store lacks the image");
    const info = await inspectSource(source, { platforms: [], settings: SETTINGS });
    // Of a stored index, the description has the digest of one manifest.
    const described = { ...info, digest: `sha256:${"0".repeat(64)}` };
    return await imageVerdict(image, described, { settingsFile, root: store.root, environment: {} });
  };

  test("is an error with the reason and the next command, for a refusal", async () => {
    expect(await verdict()).toEqual([
      {
        severity: "error",
        message: `the node's policy refuses ${IMAGE}: the policy rejects it (default)`,
        hint: `\`ctd-decoder trust check --policy ${policy} ${IMAGE}\` shows each signature`,
      },
    ]);
    expect(await verdict(`docker://${IMAGE}`)).toEqual(await verdict());
  });

  test("of a signed image changes nothing on the node", async () => {
    require([{ type: "sigstoreSigned", keyPath: join(folder, "key.pub") }]);
    const digest = images().digestOf(IMAGE) ?? "";
    storeSignature(join(folder, "signatures"), signer, { digest, reference: IMAGE });
    expect(await verdict()).toEqual([
      {
        severity: "note",
        message: expect.stringMatching(/^the node's policy accepts 127\.0\.0\.1:1\/app:1: /),
      },
    ]);
    expect(existsSync(join(folder, "verdicts"))).toBe(false);
  });

  test("is an error if the registry does not answer", async () => {
    require([{ type: "sigstoreSigned", keyPath: join(folder, "key.pub") }]);
    expect(await verdict()).toMatchObject([
      { severity: "error", message: expect.stringMatching(/^the node's policy cannot judge /) },
    ]);
  });

  test("is about pulls: it judges no layout, and nothing by a policy that can't be read", async () => {
    expect(await verdict("oci:layout")).toEqual([]);
    writeFileSync(settingsFile, "[");
    expect(await verdict()).toEqual([]);
  });

  test("is part of a diagnosis", async () => {
    const configFile = join(folder, "config.toml");
    const stanza = renderStanza({
      containerd: "1.x",
      returnsTar: false,
      path: "ctd-decoder",
      keysPath: folder,
      providerConfig: join(folder, "providers.json"),
      trustPolicy: settingsFile,
    });
    writeFileSync(configFile, stanza.replace("version = 2", `version = 2\nroot = "${store.root}"`));
    const findings = async (image?: string) =>
      (await diagnose({ configFile, settings: SETTINGS, ...(image !== undefined && { image }) })).findings;
    const refusal = expect.objectContaining({ message: expect.stringMatching(/policy refuses 127/) });
    expect(await findings(IMAGE)).toContainEqual(refusal);
    expect(await findings()).not.toContainEqual(refusal);
  });
});
