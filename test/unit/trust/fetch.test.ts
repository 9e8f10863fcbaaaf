import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test, vi } from "vitest";
import { RegistryClient } from "../../../src/registry/client.ts";
import type { Descriptor } from "../../../src/spec/descriptor.ts";
import { fetchSignatures } from "../../../src/trust/fetch.ts";
import { findInFolder } from "../../../src/trust/find/signature-folder.ts";
import { fail, TestRegistry } from "../../support/registry.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const MANIFEST = "application/vnd.oci.image.manifest.v1+json";
const MATERIAL = {
  "dev.sigstore.cosign/certificate": "a certificate",
  "dev.sigstore.cosign/chain": "a chain",
  "dev.sigstore.cosign/bundle": "an entry of the log",
  "dev.sigstore.cosign/rfc3161timestamp": "a timestamp",
};
let registry: TestRegistry;
let digest: string;
let folder: string;

beforeAll(async () => {
  registry = await TestRegistry.start({ referrers: true });
  digest = registry.addManifest("app", "v1", { mediaType: MANIFEST, layers: [] }, MANIFEST);
});
afterAll(async () => await registry.stop());
beforeEach(() => {
  folder = join(temporaryFolder(), "signatures");
  for (const name of registry.manifests.keys())
    if (!["app v1", `app ${digest}`].includes(name)) registry.manifests.delete(name);
});

function blob(mediaType: string, text: string): Descriptor {
  return { mediaType, digest: registry.addBlob("app", Buffer.from(text)), size: text.length };
}

/** Attaches what cosign 2 has as a layer. */
function attach(ending: "sig" | "att", ...layers: readonly Descriptor[]): void {
  const tag = `${digest.replace(":", "-")}.${ending}`;
  registry.addManifest("app", tag, { mediaType: MANIFEST, layers }, MANIFEST);
}

const simple = (text: string, annotations: Readonly<Record<string, string>>) => ({
  ...blob("application/vnd.dev.cosign.simplesigning.v1+json", text),
  annotations,
});

const fetch = () =>
  fetchSignatures(
    `${registry.host}/app:v1`,
    folder,
    { environment: {}, retries: 0 },
    new AbortController().signal,
  );

test("each form becomes a file that has all of it", async () => {
  const close = vi.spyOn(RegistryClient.prototype, "close");
  onTestFinished(() => close.mockRestore());
  const signature = { "dev.cosignproject.cosign/signature": "c2lnbmF0dXJl", ...MATERIAL };
  attach("sig", simple("a payload", signature), simple("another payload", {}));
  attach("att", { ...blob("application/vnd.dsse.envelope.v1+json", "an envelope"), annotations: MATERIAL });
  const layers = [blob("application/vnd.dev.sigstore.bundle.v0.3+json", "a bundle")];
  registry.addManifest("app", "bundle", { mediaType: MANIFEST, subject: { digest }, layers }, MANIFEST);

  const report = await fetch();
  expect(report).toMatchObject({ image: `${registry.host}/app:v1`, digest, ignored: [] });
  const place = join(folder, digest.replace(":", "-"));
  const names = readdirSync(place).sort();
  expect(names.map((name) => name.replace(/^[0-9a-f]{16}\./, "")).sort()).toEqual([
    "att.json",
    "sig.json",
    "sig.json",
    "sigstore.json",
  ]);
  expect(report.files.toSorted()).toEqual(names.map((name) => join(place, name)));
  expect(close).toHaveBeenCalledOnce();

  const material = {
    certificate: "a certificate",
    chain: "a chain",
    rekorBundle: "an entry of the log",
    timestamp: "a timestamp",
  };
  const { found } = await findInFolder(folder, digest, ["sig", "att"]);
  const texts = found.map(({ where: _, ...rest }) =>
    Object.fromEntries(
      Object.entries(rest).map(([name, value]) => [name, Buffer.from(value as string).toString()]),
    ),
  );
  expect(texts).toEqual(
    expect.arrayContaining([
      { form: "simple", payload: "a payload", signature: "c2lnbmF0dXJl", ...material },
      { form: "simple", payload: "another payload", signature: "" },
      { form: "envelope", envelope: "an envelope", ...material },
      { form: "bundle", bundle: "a bundle" },
    ]),
  );
});

test("what can't be kept is reported", async () => {
  attach("sig", simple("a payload", {}), blob("text/plain", "a text"));
  const { files, ignored } = await fetch();
  expect(files).toHaveLength(1);
  expect(ignored).toEqual([
    { where: `${digest.replace(":", "-")}.sig layer 1`, reason: 'its media type is "text/plain"' },
  ]);
});

test("nothing is written for an image with nothing to keep", async () => {
  await expect(fetch()).rejects.toMatchObject({
    code: "NOT_FOUND",
    message: expect.stringMatching(/:v1 has no signature and no attestation$/),
  });
  attach("sig", blob("text/plain", "a text"));
  await expect(fetch()).rejects.toMatchObject({
    code: "NOT_FOUND",
    message: expect.stringMatching(
      /attestation that can be kept: .*layer 0: its media type is "text\/plain"$/,
    ),
  });
  expect(existsSync(folder)).toBe(false);
});

test("a registry that can't be asked is an error, even when something else was found", async () => {
  attach("sig", simple("a payload", {}));
  registry.intercept = (request, response) => {
    if (!request.url?.includes("/referrers/")) return false;
    fail(response, 403, "DENIED");
    return true;
  };
  onTestFinished(() => {
    registry.intercept = () => false;
  });
  await expect(fetch()).rejects.toMatchObject({ code: "UNAUTHORIZED" });
  expect(existsSync(folder)).toBe(false);
});

test("a blob of another size than its descriptor states is not kept", async () => {
  const layer = simple("a payload", {});
  attach("sig", { ...layer, size: layer.size - 1 });
  await expect(fetch()).rejects.toThrow(/layer 0: blob sha256:\w+ has 9 bytes, not 8/);
});

test("a file that can't be replaced is an error, and no part of a new one stays", async () => {
  attach("sig", simple("a payload", {}));
  const [path = ""] = (await fetch()).files;
  const place = join(path, "..");
  const [name = ""] = readdirSync(place);
  const before = readFileSync(path);
  expect((await fetch()).files).toEqual([path]);
  expect([readdirSync(place), readFileSync(path)]).toEqual([[name], before]);

  folder = temporaryFolder();
  const taken = join(folder, digest.replace(":", "-"), name);
  mkdirSync(taken, { recursive: true });
  writeFileSync(join(taken, "file"), "");
  await expect(fetch()).rejects.toMatchObject({ code: "IO", message: expect.stringContaining(taken) });
  expect(readdirSync(join(taken, ".."))).toEqual([name]);
});
