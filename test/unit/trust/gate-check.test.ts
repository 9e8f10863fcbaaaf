import { mkdirSync, rmSync, writeFileSync } from "node:fs";
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

  /** An image under these names in containerd's metadata, with a policy of one rule for all. */
  function pulled(rule: object, names: Readonly<Record<string, string>>, more: object = {}) {
    const place = join(folder, String(number++));
    const store = new ContentStore(join(place, "root"));
    const labels = Object.fromEntries(
      Object.entries(names).map(([host, path]) => [`containerd.io/distribution.source.${host}`, path]),
    );
    store.describe(boltDatabase({ v1: { "k8s.io": { content: { blob: { [digestOf(1)]: { labels } } } } } }));
    writeFileSync(join(place, "policy.json"), JSON.stringify({ default: [rule], ...more }));
    const settings = writeSettings(join(place, "settings"), {
      policy: join(place, "policy.json"),
      signature_store: join(place, "signatures"),
      verdict_dir: join(place, "verdicts"),
      hosts_dir: join(place, "no-hosts"),
      registries_d: join(place, "no-registries"),
    });
    const problem = async (imageReference?: string, digests: readonly string[] = [digestOf(1)]) =>
      await requireAccepted(
        { digest: digestOf(0), store: store.folder, imageReference },
        [digests],
        settings,
        {},
      ).then(
        () => "accepted",
        ({ code, message }) => `${code}: ${message}`,
      );
    return { place, problem, signatures: join(place, "signatures") };
  }

  const signedRule = () => ({
    ...{ type: "sigstoreSigned", keyPath: join(folder, "key.pub") },
    signedIdentity: { type: "matchRepository" },
  });

  test("find an earlier verdict for any name, under any digest", async () => {
    const { problem, signatures } = pulled(signedRule(), { "127.0.0.1:1": "app" });
    storeSignature(signatures, signer, { digest: digestOf(1), reference: REFERENCE });
    expect(await problem()).toBe("accepted");
    rmSync(signatures, { recursive: true });
    expect(await problem()).toBe("accepted");
    expect(await problem(undefined, [digestOf(2), digestOf(1)])).toBe("accepted");
    expect(await problem(undefined, [digestOf(2)])).toMatch(/^UNTRUSTED/);
  });

  test("find no verdict that another key gave", async () => {
    const { place, problem, signatures } = pulled(signedRule(), { "127.0.0.1:1": "app" });
    storeSignature(signatures, signer, { digest: digestOf(1), reference: REFERENCE });
    expect(await problem()).toBe("accepted");
    rmSync(signatures, { recursive: true });
    writeFileSync(join(place, "other.pub"), newSigner().publicKey);
    const rule = { ...signedRule(), keyPath: join(place, "other.pub") };
    writeFileSync(join(place, "policy.json"), JSON.stringify({ default: [rule] }));
    expect(await problem()).toMatch(/^UNTRUSTED/);
  });

  test("pass an image under any of its names, also after one that can't be asked about", async () => {
    const { problem, signatures } = pulled(signedRule(), {
      "127.0.0.1:1": "other,app",
      "a.test": "NOT/a name",
    });
    expect(await problem()).toMatch(/^UNTRUSTED: .*127\.0\.0\.1:1\/other: .*127\.0\.0\.1:1\/app: /);
    storeSignature(signatures, signer, { digest: digestOf(1), reference: REFERENCE });
    expect(await problem()).toBe("accepted");
  });

  test("say why an image is refused: for three names at most", async () => {
    const { problem } = pulled({ type: "reject" }, { "a.test": "a,b,c,d" });
    const why = ["a", "b", "c"].map((path) => `a.test/${path}: the policy rejects it (default)`).join("; ");
    expect(await problem()).toBe(`UNTRUSTED: no image with this layer is trusted: ${why}`);
    const unknown = `${digestOf(2)} was not pulled, so that its name is not known`;
    expect(await problem(undefined, [digestOf(2)])).toBe(
      `UNTRUSTED: no image with this layer is trusted: ${unknown}`,
    );
    // containerd has told the name, so that nothing is missing.
    expect(await problem("b.test/x:1", [digestOf(2)])).toBe(
      "UNTRUSTED: no image with this layer is trusted: b.test/x: the policy rejects it (default)",
    );
    // Neither is a whole name.
    for (const name of [`sha256:${"a".repeat(64)}`, "NOT/a name"])
      expect(await problem(name, [digestOf(2)])).toMatch(/no manifest in .* names .* with this key$/);
  });

  test("of an image that comes up again count once", async () => {
    const { problem, signatures } = pulled(signedRule(), {});
    storeSignature(signatures, signer, { digest: digestOf(2), reference: REFERENCE });
    const digests = [digestOf(2), ...Array.from({ length: 70 }, () => digestOf(1))];
    expect(await problem(REFERENCE, digests)).toBe("accepted");
  });

  test("64 are made of images without a signature, and no more", async () => {
    const { place, problem, signatures } = pulled(signedRule(), {});
    mkdirSync(join(place, "no-registries"));
    writeFileSync(
      join(place, "no-registries/off.yaml"),
      "default-docker:\n  use-sigstore-attachments: false\n",
    );
    storeSignature(signatures, signer, { digest: digestOf(1), reference: REFERENCE });
    const after = (others: number) => [
      digestOf(1),
      ...Array.from({ length: others }, (_, i) => digestOf(i + 2)),
    ];
    expect(await problem(REFERENCE, after(64))).toMatch(/^UNTRUSTED: /);
    rmSync(join(place, "verdicts"), { recursive: true, force: true });
    expect(await problem(REFERENCE, after(63))).toBe("accepted");
  });

  test("end with an error for a policy's key that can't be used", async () => {
    const rule = { ...signedRule(), keyPath: join(folder, "junk.pub") };
    writeFileSync(join(folder, "junk.pub"), "junk");
    const { problem, signatures } = pulled(rule, { "127.0.0.1:1": "app" });
    storeSignature(signatures, signer, { digest: digestOf(1), reference: REFERENCE });
    expect(await problem()).toMatch(/^BAD_KEY: /);
  });

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
