import { mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, beforeEach, expect, test } from "vitest";
import { rootOf } from "../support/layouts.ts";
import { ours, output, skopeo } from "../support/peers.ts";
import { newSigner, type TestSigner } from "../support/trust.ts";
import { REGISTRY } from "./node.ts";
import { byCri, byCtr, describeNode, type NodeSuite, type Pull, release } from "./suite.ts";

const SETTINGS = "/etc/containerd/ctd-decoder";

if (release.version.startsWith("2.")) {
  describeNode("with the image verifier", { processors: "zstd apart" }, (suite) => {
    beforeAll(async () => {
      mkdirSync(join(suite.node.folder, "verifiers"));
      symlinkSync(join(suite.node.folder, "ctd-decoder"), join(suite.node.folder, "verifiers/ctd-decoder"));
      mkdirSync(join(suite.node.folder, "trust"));
      // The settings have one place. Nothing of the machine's is changed: the mount is the node's alone.
      await suite.node.execute("busybox", ["mkdir", "-p", SETTINGS]);
      const { exit, stderr } = await suite.node.execute("busybox", [
        "mount",
        "--bind",
        join(suite.node.folder, "trust"),
        SETTINGS,
      ]);
      expect({ exit, stderr }).toEqual({ exit: 0, stderr: "" });
    });
    const signing = signedImages(suite);
    const refusal = (code: string) =>
      new RegExp(`image verifier bindir blocked pull of ${REGISTRY}/test.* for reason: .*trust: ${code}: `);
    refusesWhatIsNotSigned(suite, signing, byCri, refusal);

    test("nothing is decrypted and nothing fetched of an image that is refused", async () => {
      const reference = await suite.push("encrypted");
      expect(await byCri(suite.node, reference)).toMatch(refusal("unsigned"));
      expect(suite.node.takeCalls()).toEqual([]);
      const { stdout } = await suite.node.ctr("content", "list", "--quiet");
      expect(stdout.toString()).toBe("");
    });

    test("without settings every pull is refused", async () => {
      const reference = await suite.push("encrypted");
      await signing.sign(reference);
      rmSync(join(suite.node.folder, "trust/trust.toml"));
      expect(await byCri(suite.node, reference)).toMatch(refusal("config"));
    });

    test("an empty folder of verifiers refuses nothing, which is why doctor looks for it", async () => {
      rmSync(join(suite.node.folder, "verifiers/ctd-decoder"));
      const reference = await suite.push("encrypted");
      expect(await byCri(suite.node, reference)).toBeNull();
      symlinkSync(join(suite.node.folder, "ctd-decoder"), join(suite.node.folder, "verifiers/ctd-decoder"));
    });
  });
}

describeNode(
  "with the decoder's gate",
  {
    processors: "zstd apart",
    args: ["--trust-policy", "{folder}/trust/trust.toml"],
    ...(release.version.startsWith("2.") && { localPull: true }),
  },
  (suite) => {
    beforeAll(() => mkdirSync(join(suite.node.folder, "trust")));
    const signing = signedImages(suite);
    refusesWhatIsNotSigned(
      suite,
      signing,
      byCtr,
      () => /ctd-decoder: error: no image with this layer is trusted/,
    );
  },
);

interface Signing {
  /** Signs an image in the node's registry. */
  sign(reference: string, by?: TestSigner): Promise<void>;
}

/** Encrypts the test image, and writes a policy that wants this project's signatures of the node's registry. */
function signedImages(suite: NodeSuite): Signing {
  const signer = newSigner();
  let number = 0;
  beforeAll(() => suite.encrypt(skopeo, "plain", "encrypted"));
  beforeEach(() => {
    const trust = join(suite.node.folder, "trust");
    writeFileSync(join(trust, "cosign.pub"), signer.publicKey);
    const signed = [{ type: "sigstoreSigned", keyPath: join(trust, "cosign.pub") }];
    const policy = { default: [{ type: "reject" }], transports: { docker: { [REGISTRY]: signed } } };
    writeFileSync(join(trust, "policy.json"), JSON.stringify(policy));
    // A folder of verdicts of its own for each test.
    const lines = {
      policy: join(trust, "policy.json"),
      verdict_dir: join(suite.node.folder, `verdicts-${number++}`),
      hosts_dir: join(trust, "hosts"),
      deadline: "20s",
    };
    const toml = Object.entries(lines).map(([name, value]) => `${name} = ${JSON.stringify(value)}\n`);
    writeFileSync(join(trust, "trust.toml"), toml.join(""), { mode: 0o644 });
  });
  return {
    async sign(reference, by = signer) {
      const key = join(suite.folder, "cosign.key");
      writeFileSync(key, by.privateKey.export({ type: "pkcs8", format: "pem" }), { mode: 0o600 });
      await output(suite.node.inside(ours), ["sign", "--quiet", "--key", key, reference]);
    },
  };
}

function refusesWhatIsNotSigned(
  suite: NodeSuite,
  { sign }: Signing,
  pull: Pull,
  refusal: (code: string) => RegExp,
): void {
  /** An image whose digest no other test has seen, so that nobody has signed it. */
  async function fresh(tag: string): Promise<string> {
    await suite.encrypt(skopeo, "plain", tag);
    return await suite.push(tag);
  }

  test("unsigned: refused", async () => {
    expect(await pull(suite.node, await fresh("unsigned"))).toMatch(refusal("unsigned"));
  });

  test("signed and encrypted: pulled, decrypted, run", async () => {
    const reference = await fresh("signed");
    await sign(reference);
    expect(await pull(suite.node, reference)).toBeNull();
    expect(suite.node.takeCalls()).toEqual(suite.mediaTypes("signed"));
    expect(await suite.node.runImage(reference)).toBe(suite.listing);
  });

  test("signed by another key: refused", async () => {
    const reference = await fresh("another-key");
    await sign(reference, newSigner());
    expect(await pull(suite.node, reference)).toMatch(refusal("wrong-signer"));
  });

  test("a tag that was moved to another image: refused", async () => {
    const reference = await fresh("moved");
    await sign(reference);
    await suite.encrypt(skopeo, "plain", "moved");
    await suite.push("moved");
    expect(await pull(suite.node, reference)).toMatch(refusal("unsigned"));
  });

  test("another image's signature: refused", async () => {
    await sign(await fresh("donor"));
    const reference = await fresh("thief");
    const [from, to] = [digestTag(suite, "donor"), digestTag(suite, "thief")];
    await output(suite.node.inside(skopeo), [
      "--insecure-policy",
      "copy",
      "--src-tls-verify=false",
      "--dest-tls-verify=false",
      `docker://${REGISTRY}/test:${from}`,
      `docker://${REGISTRY}/test:${to}`,
    ]);
    expect(await pull(suite.node, reference)).toMatch(refusal("wrong-signer"));
  });
}

/** The tag of an image's signatures in form A. */
function digestTag(suite: NodeSuite, tag: string): string {
  return `${rootOf(suite.layout, tag).digest.replace(":", "-")}.sig`;
}
