import { writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { beforeAll, expect, test, vi } from "vitest";
import { parseName } from "../../../src/registry/name.ts";
import { requireAccepted } from "../../../src/trust/gate-check.ts";
import { checkOnNode } from "../../../src/trust/node-check.ts";
import { readTrustSettings } from "../../../src/trust/settings.ts";
import { boltDatabase } from "../../support/bolt.ts";
import { ContentStore } from "../../support/content-store.ts";
import { describeWith, root } from "../../support/peers.ts";
import { temporaryFolder } from "../../support/temporary.ts";
import { newSigner, storeSignature, writeSettings } from "../../support/trust.ts";

const REFERENCE = "127.0.0.1:1/app";
const digestOf = (image: number) => `sha256:${String(image).padStart(64, "0")}`;

describeWith([root], "the checks before a layer is decrypted", {}, () => {
  const folder = temporaryFolder();
  const signer = newSigner();
  let number = 0;

  beforeAll(() => {
    writeFileSync(join(folder, "key.pub"), signer.publicKey);
    const identity = { signedIdentity: { type: "matchRepository" } };
    const signed = { type: "sigstoreSigned", keyPath: join(folder, "key.pub"), ...identity };
    writeFileSync(join(folder, "policy.json"), JSON.stringify({ default: [signed] }));
  });

  /** Checks so many images with a layer, of which the last one is signed. */
  async function check(images: number): Promise<void> {
    const place = join(folder, String(number++));
    const signatures = join(place, "signatures");
    storeSignature(signatures, signer, { digest: digestOf(images), reference: REFERENCE });
    const settings = writeSettings(place, {
      policy: join(folder, "policy.json"),
      signature_store: signatures,
      verdict_dir: join(place, "verdicts"),
      hosts_dir: join(place, "no-hosts"),
      registries_d: join(place, "no-registries"),
    });
    const layer = { digest: digestOf(0), store: join(place, "no-store"), imageReference: REFERENCE };
    const digests = Array.from({ length: images }, (_, i) => [digestOf(i + 1)]);
    await requireAccepted(layer, digests, settings, {});
  }

  test("64 are made, and no more", async () => {
    await check(64);
    await expect(check(65)).rejects.toMatchObject({ code: "UNTRUSTED" });
  });

  test("are not counted where the policy accepts by name alone", async () => {
    const place = join(folder, "tags");
    const tags = Array.from({ length: 65 }, (_, i) => [
      `${REFERENCE}:v${i}`,
      [{ type: "insecureAcceptAnything" }],
    ]);
    const docker = { [REFERENCE]: [{ type: "insecureAcceptAnything" }], ...Object.fromEntries(tags) };
    writeFileSync(
      join(folder, "tags.json"),
      JSON.stringify({ default: [{ type: "reject" }], transports: { docker } }),
    );
    const settings = writeSettings(place, {
      policy: join(folder, "tags.json"),
      verdict_dir: join(place, "verdicts"),
      hosts_dir: join(place, "no-hosts"),
      registries_d: join(place, "no-registries"),
    });
    const layer = { digest: digestOf(0), store: join(place, "no-store"), imageReference: REFERENCE };
    await requireAccepted(layer, [[digestOf(1)]], settings, {});
  });

  test("are made of no other tag than the one that containerd passes", async () => {
    const place = join(folder, "known-tag");
    const signed = { type: "sigstoreSigned", keyPath: join(folder, "key.pub") };
    const docker = { [REFERENCE]: [{ type: "insecureAcceptAnything" }], [`${REFERENCE}:prod`]: [signed] };
    const policy = { default: [{ type: "reject" }], transports: { docker } };
    writeFileSync(join(folder, "known-tag.json"), JSON.stringify(policy));
    const settings = writeSettings(place, {
      policy: join(folder, "known-tag.json"),
      verdict_dir: join(place, "verdicts"),
      hosts_dir: join(place, "no-hosts"),
      registries_d: join(place, "no-registries"),
    });
    const opened = async (imageReference: string) => {
      const layer = { digest: digestOf(0), store: join(place, "no-store"), imageReference };
      await requireAccepted(layer, [[digestOf(1)]], settings, {});
    };
    await opened(`${REFERENCE}:dev`);
    await expect(opened(`${REFERENCE}:prod`)).rejects.toMatchObject({ code: "UNTRUSTED" });
    await opened(`${REFERENCE}@${digestOf(1)}`);
  });

  test("none begins after 60 s", async () => {
    const clock = vi.spyOn(performance, "now");
    try {
      clock.mockReturnValueOnce(0).mockReturnValue(60_000);
      await check(1);
      clock.mockReturnValueOnce(0).mockReturnValue(60_001);
      await expect(check(1)).rejects.toThrow("checking its images takes too long");
    } finally {
      clock.mockRestore();
    }
  });

  /** containerd has recorded the image's host and path alone. */
  test("let no image pass without a signature that the policy would refuse under its whole name", async () => {
    const place = join(folder, "names");
    const store = new ContentStore(join(place, "root"));
    const labels = { "containerd.io/distribution.source.127.0.0.1": "a/b" };
    const content = { blob: { [digestOf(1)]: { labels } } };
    store.describe(boltDatabase({ v1: { "k8s.io": { content } } }));
    const layer = { digest: digestOf(0), store: store.folder, imageReference: undefined };
    const isAccepted = async (check: () => Promise<unknown>) => await check().catch(() => false);
    await fc.assert(
      fc.asyncProperty(policies(signer.publicKey, join(folder, "key.pub")), names, async (policy, name) => {
        writeFileSync(join(folder, "names.policy"), policy.text);
        const settings = writeSettings(place, {
          policy: join(folder, "names.policy"),
          unmatched: policy.unmatched,
          verdict_dir: join(place, "verdicts"),
          hosts_dir: join(place, "no-hosts"),
          registries_d: join(place, "no-registries"),
          deadline: "5s",
        });
        const opens = await isAccepted(async () => {
          await requireAccepted(layer, [[digestOf(1)]], settings, {});
          return true;
        });
        if (!opens) return;
        const image = { name: parseName(name), digest: digestOf(1) };
        expect(await checkOnNode(image, readTrustSettings(settings), {})).toMatchObject({ accepted: true });
      }),
      { numRuns: 300 },
    );
  });
});

const names = fc
  .tuple(fc.constantFrom("", ":1", ":2"), fc.constantFrom("dev", "prod"))
  .map(([port, tag]) => `127.0.0.1${port}/a/b:${tag}`);

/** Policies of each format, with rules for ports and tags. */
function policies(publicKey: string, keyPath: string) {
  const signed = { type: "sigstoreSigned", keyPath, signedIdentity: { type: "matchRepository" } };
  const rules = fc.constantFrom([{ type: "insecureAcceptAnything" }], [{ type: "reject" }], [signed]);
  const paths = fc.constantFrom("", "/a", "/a/b", "/a/b:dev", "/a/b:prod", "/c");
  const pattern = fc
    .tuple(
      fc.constantFrom("127.0.0.1", "127.0.0.*", "*"),
      fc.constantFrom("", "", ":1", ":*"),
      fc.constantFrom("/**", "/a/b", "/a/*"),
      fc.constantFrom("", ":dev", ":prod", ":p*"),
    )
    .map((parts) => parts.join(""));
  const few = { minLength: 1, maxLength: 3 };
  const containers = fc
    .tuple(rules, rules, rules, fc.dictionary(paths, rules, { maxKeys: 4 }), fc.constantFrom("", ":1", ":2"))
    .map(([fallback, first, second, scopes, port]) => {
      const under = Object.entries(scopes).map(([path, rule]) => [`127.0.0.1${port}${path}`, rule]);
      const docker = { "127.0.0.1:1": first, "127.0.0.1:2": second, ...Object.fromEntries(under) };
      return JSON.stringify({ default: fallback, transports: { docker } });
    });
  // Every port is named.
  const others = ["127.0.0.1:1/other", "127.0.0.1:2/other"];
  const kubewarden = fc.array(pattern, few).map((images) => {
    const signatures = [...images, ...others].map((image) => ({ image, pubKeys: [publicKey] }));
    return JSON.stringify({ signatures });
  });
  const authority = fc.constantFrom<object>(
    { static: { action: "pass" } },
    { static: { action: "fail" } },
    { key: { data: publicKey } },
  );
  const cluster = fc.array(fc.tuple(pattern, authority), few).map((all) =>
    [...all, [others, { static: { action: "fail" } }] as const]
      .map(([globs, it]) => {
        const spec = { images: [globs].flat().map((glob) => ({ glob })), authorities: [it] };
        const [apiVersion, kind] = ["policy.sigstore.dev/v1beta1", "ClusterImagePolicy"];
        return `---\n${JSON.stringify({ apiVersion, kind, metadata: { name: "p" }, spec })}\n`;
      })
      .join(""),
  );
  const unmatched = fc.constantFrom("accept", "reject");
  return fc.record({ text: fc.oneof(containers, kubewarden, cluster), unmatched });
}
