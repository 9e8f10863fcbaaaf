import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { RegistryClient } from "../../../../src/registry/client.ts";
import { parseName } from "../../../../src/registry/name.ts";
import { openClient } from "../../../../src/registry/open.ts";
import { checkImage } from "../../../../src/trust/check-image.ts";
import { readRegistriesD } from "../../../../src/trust/find/lookaside.ts";
import { readSigningKey } from "../../../../src/trust/sign/cosign-key.ts";
import { RegistrySignatures } from "../../../../src/trust/sign/registry-store.ts";
import { signImage } from "../../../../src/trust/sign/sign-image.ts";
import { fail, TestRegistry } from "../../../support/registry.ts";
import { temporaryFolder } from "../../../support/temporary.ts";
import { newSigner } from "../../../support/trust.ts";
import { demand, trustFile } from "../check/demand.ts";

const MANIFEST = "application/vnd.oci.image.manifest.v1+json";
const NAME = "registry.example.com/app:v1";
const signer = newSigner();
const key = readSigningKey(
  Buffer.from(signer.privateKey.export({ format: "pem", type: "pkcs8" }) as string),
  undefined,
  "cosign.key",
);
const leaf = demand({ signer: { kind: "keys", keys: [trustFile("key.pub", signer.publicKey)] } });

describe.each([true, false])("signatures in a registry whose referrers API is there: %s", (referrers) => {
  let registry: TestRegistry;
  let digest: string;

  beforeEach(async () => {
    registry = await TestRegistry.start({ referrers });
    digest = registry.addManifest("app", "v1", { mediaType: MANIFEST, layers: [] }, MANIFEST);
    if (referrers)
      registry.intercept = (request, response) => {
        if (request.method === "PUT" && request.url?.includes("/manifests/sha256:"))
          response.setHeader("OCI-Subject", digest);
        return false;
      };
  });
  afterEach(async () => await registry.stop());

  async function sign() {
    const name = parseName(`${registry.host}/app:v1`);
    const signal = new AbortController().signal;
    const store = new RegistrySignatures(
      openClient(name, { environment: {}, retries: 0 }, { access: "push", signal }),
      name,
    );
    try {
      return await signImage(store, { name: NAME, key, annotations: {}, isRecursive: false });
    } finally {
      await store.close();
    }
  }

  const check = async () =>
    await checkImage(`${registry.host}/app:v1`, leaf, {
      access: { environment: {} },
      folders: [],
      registries: await readRegistriesD(temporaryFolder()),
      signal: new AbortController().signal,
    });

  test("count, each by itself, and are not made twice", async () => {
    expect(await check()).toMatchObject({ accepted: false, fault: "unsigned", digest });
    expect((await sign()).signed).toEqual([{ digest, added: ["simple", "bundle"] }]);
    const { accepted, signatures, ...rest } = await check();
    expect(rest).toEqual({
      image: `${registry.host}/app:v1`,
      digest,
      reason: expect.stringMatching(/^signed by key /),
      signer: expect.stringMatching(/^key /),
      ignored: [],
    });
    expect([accepted, signatures.map(({ verdict }) => verdict.counts)]).toEqual([true, [true, true]]);
    const before = registry.seen.length;
    expect((await sign()).signed).toEqual([{ digest, added: [] }]);
    expect(registry.seen.slice(before).filter(({ method }) => !["GET", "HEAD"].includes(method))).toEqual([]);
    expect(registry.openUploads).toBe(0);
    const tags = [...registry.manifests.keys()].filter((it) => it.startsWith("app sha256-")).sort();
    const tag = `app ${digest.replace(":", "-")}`;
    expect(tags).toEqual(referrers ? [`${tag}.sig`] : [tag, `${tag}.sig`]);
  });

  test("leave no connection open", async () => {
    const close = vi.spyOn(RegistryClient.prototype, "close");
    onTestFinished(() => close.mockRestore());
    await sign();
    expect(close).toHaveBeenCalledTimes(1);
    await check();
    expect(close).toHaveBeenCalledTimes(2);
  });

  test("are not sent again where the registry has their blobs", async () => {
    await sign();
    for (const name of registry.manifests.keys())
      if (name.startsWith("app sha256-")) registry.manifests.delete(name);
    const uploads = () => registry.seen.filter(({ method }) => method === "POST").length;
    const before = uploads();
    expect((await sign()).signed[0]?.added).toContain("simple");
    // A bundle holds its signature, and no two signatures are the same. The payload is the same.
    expect(uploads() - before).toBe(referrers ? 0 : 1);
  });

  test("are not made when a registry doesn't say what it has under their tag", async () => {
    const before = registry.intercept;
    registry.intercept = async (request, response) => {
      if (!request.url?.endsWith(".sig")) return await before(request, response);
      fail(response, 403, "DENIED");
      return true;
    };
    await expect(sign()).rejects.toMatchObject({ code: "UNAUTHORIZED" });
    expect(registry.seen.filter(({ method }) => !["GET", "HEAD"].includes(method))).toEqual([]);
  });
});
