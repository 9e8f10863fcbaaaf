import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { auditImages } from "../../../src/trust/audit-images.ts";
import { readTrustSettings } from "../../../src/trust/settings.ts";
import { boltDatabase } from "../../support/bolt.ts";
import { describeWith, root } from "../../support/peers.ts";
import { temporaryFolder } from "../../support/temporary.ts";
import { writeSettings } from "../../support/trust.ts";

const A = `sha256:${"a".repeat(64)}`;
const B = `sha256:${"b".repeat(64)}`;

describeWith([root], "the audit of a node's images", {}, () => {
  const folder = temporaryFolder();
  const store = join(folder, "io.containerd.content.v1.content");
  let settings: string;

  beforeAll(() => {
    const accept = [{ type: "insecureAcceptAnything" }];
    const policy = { default: [{ type: "reject" }], transports: { docker: { "a.b": accept } } };
    writeFileSync(join(folder, "policy.json"), JSON.stringify(policy));
    settings = writeSettings(join(folder, "settings"), { policy: join(folder, "policy.json") });
  });

  function metadata(images: Readonly<Record<string, Readonly<Record<string, string>>>>): void {
    const namespaces = Object.entries(images).map(([namespace, named]) => {
      const targets = Object.entries(named).map(([name, digest]) => [name, { target: { digest } }] as const);
      return [namespace, { images: Object.fromEntries(targets) }] as const;
    });
    const place = join(folder, "io.containerd.metadata.v1.bolt");
    mkdirSync(place, { recursive: true });
    writeFileSync(join(place, "meta.db"), boltDatabase({ v1: Object.fromEntries(namespaces) }));
  }

  async function audited() {
    const found: [string, string, boolean][] = [];
    for await (const it of auditImages(store, readTrustSettings(settings), {}))
      found.push([it.name, it.digest, it.accepted]);
    return found;
  }

  test("judges every name of every namespace once, but not the bare digests of the CRI plugin", async () => {
    metadata({
      default: { "a.b/c:1": A, "x.y/z:1": B },
      "k8s.io": { "a.b/c:1": A, [`a.b/c@${A}`]: A, [B]: B, [`x.y/z@${B}`]: B },
    });
    expect((await audited()).toSorted()).toEqual([
      ["a.b/c:1", A, true],
      [`a.b/c@${A}`, A, true],
      ["x.y/z:1", B, false],
      [`x.y/z@${B}`, B, false],
    ]);
  });

  test("refuses an image that has lost its names", async () => {
    metadata({ "k8s.io": { "a.b/c:1": A, [A]: A, [B]: B } });
    expect(await audited()).toEqual([
      ["a.b/c:1", A, true],
      [B, B, false],
    ]);
  });

  test("refuses a name that is not an image's", async () => {
    metadata({ default: { "A//b": A } });
    expect(await audited()).toEqual([["A//b", A, false]]);
  });

  test("refuses a name with the digest of another image", async () => {
    metadata({ default: { [`a.b/c@${A}`]: B } });
    expect(await audited()).toEqual([[`a.b/c@${A}`, B, false]]);
  });

  test("says why, and whether the policy could be applied", async () => {
    metadata({ default: { "a.b/c:1": A, "x.y/z:1": B, "A//b": A, [`a.b/c@${A}`]: B } });
    const found: Record<string, unknown> = {};
    for await (const { name, judged, reason } of auditImages(store, readTrustSettings(settings), {}))
      found[name] = [judged, reason];
    expect(found).toEqual({
      "a.b/c:1": [true, 'the policy accepts it without a signature (docker scope "a.b")'],
      "x.y/z:1": [true, "the policy rejects it (default)"],
      "A//b": [false, expect.stringContaining('"A//b"')],
      [`a.b/c@${A}`]: [true, `its name has another digest than ${B}`],
    });
  });

  test("takes only a whole digest for one", async () => {
    const names = [`x${A}`, `${A}0`];
    metadata({ default: Object.fromEntries(names.map((name) => [name, A])) });
    expect((await audited()).map(([name]) => name).toSorted()).toEqual(names.toSorted());
  });

  test("is an error for a policy that can't be read, before the first image", async () => {
    metadata({ default: { "a.b/c:1": A } });
    const broken = { ...readTrustSettings(settings), policy: join(folder, "missing.json") };
    await expect(auditImages(store, broken, {}).next()).rejects.toMatchObject({ code: "CONFIG" });
  });

  test("is an error without containerd's metadata", async () => {
    const images = auditImages(join(folder, "elsewhere/store"), readTrustSettings(settings), {});
    await expect(images.next()).rejects.toMatchObject({ code: "CONTENT_STORE" });
  });
});
