import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import type { FoundLayer } from "../../../src/containerd/payload.ts";
import { acceptedLayers } from "../../../src/decoder/accepted-layers.ts";
import { ContentStore } from "../../support/content-store.ts";
import { claim, type Encrypted, encryptFor } from "../../support/encrypted.ts";
import { writeKeys } from "../../support/keys.ts";
import { describeWith, root } from "../../support/peers.ts";
import { temporaryFolder } from "../../support/temporary.ts";
import { newSigner, storeSignature, writeSettings } from "../../support/trust.ts";

/** Only root's policies count. */
describeWith([root], "of the layers that may be meant", {}, () => {
  const folder = temporaryFolder();
  const store = new ContentStore(join(folder, "root"));
  const signatures = join(folder, "signatures");
  let right: FoundLayer;
  /** The same blob, under a key that a stranger chose. */
  let stranger: FoundLayer;
  let policyFile: string;

  beforeAll(async () => {
    const key = await writeKeys(join(folder, "node"), "P-256");
    const recipient = `jwe:${key.publicPath("spki.pem")}`;
    const encrypted = await encryptFor([recipient], Buffer.from("layer"));
    const claimed = await claim(encrypted, recipient);
    const signer = newSigner();
    const manifest = store.addManifest([encrypted.descriptor]);
    store.addManifest([claimed.descriptor]);
    // As pulled from 127.0.0.1/test.
    store.lease(manifest, encrypted.descriptor.digest);
    storeSignature(signatures, signer, { digest: manifest, reference: "127.0.0.1/test" });
    writeFileSync(join(folder, "key.pub"), signer.publicKey);
    const signed = {
      type: "sigstoreSigned",
      keyPath: join(folder, "key.pub"),
      signedIdentity: { type: "matchRepository" },
    };
    const policy = { default: [{ type: "reject" }], transports: { docker: { "127.0.0.1": [signed] } } };
    writeFileSync(join(folder, "policy.json"), JSON.stringify(policy));
    policyFile = writeSettings(join(folder, "settings"), {
      policy: join(folder, "policy.json"),
      signature_store: signatures,
      hosts_dir: join(folder, "no-hosts"),
      verdict_dir: join(folder, "verdicts"),
      deadline: "5s",
    });
    [right, stranger] = [foundOf(encrypted), foundOf(claimed)];
  });

  const foundOf = ({ descriptor: { annotations = {}, ...rest } }: Encrypted): FoundLayer => ({
    descriptor: { ...rest, annotations },
  });
  const accepted = (...groups: FoundLayer[][]) =>
    acceptedLayers(groups, {
      policyFile,
      contentStore: store.folder,
      trustCriAnnotations: false,
      environment: {},
    });

  test("the first that an accepted image names is taken", async () => {
    expect(await accepted([stranger, right])).toEqual([[right]]);
    expect(await accepted([stranger], [right])).toEqual([[right]]);
  });

  test("none is taken if no accepted image names one", async () => {
    await expect(accepted([stranger], [stranger])).rejects.toMatchObject({ code: "UNTRUSTED" });
  });

  test("one that has no digest is refused, although another one would do", async () => {
    const { digest: _digest, ...nameless } = right.descriptor;
    const groups = [[{ descriptor: { ...nameless, digest: undefined } }], [right]];
    await expect(accepted(...groups)).rejects.toMatchObject({ code: "BAD_DESCRIPTOR" });
  });
});
