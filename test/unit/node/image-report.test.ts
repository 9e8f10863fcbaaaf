import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import type { ImageInfo } from "../../../src/image/inspect.ts";
import { reportImage, unopenedImages, unopenedLayers } from "../../../src/node/image-report.ts";
import { SealRecords } from "../../../src/tenants/seal-record.ts";
import { ENCRYPTED_LAYER, ImageStore, PLAIN_LAYER } from "../../support/image-store.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const folder = temporaryFolder();
const settings = { environment: {}, providerTimeoutMs: 1000, providerLegacyDc: false, verbose: false };
const [NAME, OTHER] = ["127.0.0.1:5000/test:enc", "127.0.0.1:5000/other:enc"];
let store: ImageStore;

beforeEach(() => {
  store = new ImageStore(mkdtempSync(join(folder, "root-")));
});

describe("an image", () => {
  const report = (image: string) => reportImage(image, { settings, root: store.root });

  test("is looked for in containerd's store", async () => {
    store.add(NAME, [PLAIN_LAYER, ENCRYPTED_LAYER]);
    store.write([]);
    const { platforms } = await report(NAME);
    expect(platforms[0]?.layers.map(({ encryption }) => encryption !== undefined)).toEqual([false, true]);
  });

  test.each(["app", "library/app:tag", "library/registry.example/app"])(
    "that containerd does not have, and whose name %s has no registry, is not found",
    async (name) => {
      store.write([]);
      await expect(report(name)).rejects.toMatchObject({
        code: "NOT_FOUND",
        message: `containerd has no image named "${name}"`,
        hint: expect.stringContaining("docker.io/"),
      });
    },
  );

  test.each(["localhost/app", "127.0.0.1:1/app", "[::1]:1/app:tag"])(
    "that containerd does not have is looked for in its registry: %s",
    async (name) => {
      store.write([]);
      await expect(report(name)).rejects.toMatchObject({ code: "REGISTRY" });
    },
  );

  test("may be anywhere else", async () => {
    await expect(report(`oci:${join(folder, "none")}`)).rejects.toThrow(join(folder, "none"));
  });
});

describe("unpacked images", () => {
  const findings = async (options = {}) => {
    const found = await unopenedImages({ settings, root: store.root, ...options });
    return found.map(({ severity, message }) => `${severity}: ${message}`);
  };
  const last = (chains: readonly string[]) => chains.slice(-1);

  test("are reported if no key opens them", async () => {
    const plain = store.add(OTHER, [PLAIN_LAYER]);
    const encrypted = store.add(NAME, [PLAIN_LAYER, ENCRYPTED_LAYER]);
    store.write(last(plain));
    expect(await findings()).toEqual([]);
    store.write([...last(plain), ...last(encrypted)]);
    expect(await findings()).toEqual([
      `warning: ${NAME} is unpacked on this node, and runs although no key here opens it`,
    ]);
  });

  test("are reported without those whose manifests are wrong", async () => {
    const wrong = store.add(OTHER, [{ ...PLAIN_LAYER, size: -1 }]);
    store.write([...last(wrong), ...last(store.add(NAME, [ENCRYPTED_LAYER]))]);
    expect(await findings()).toHaveLength(1);
  });

  test("are not reported without containerd's metadata", async () => {
    expect(await findings()).toEqual([]);
  });

  test("of a node with tenants are reported if a layer has no seal record", async () => {
    const sealed = mkdtempSync(join(folder, "sealed-"));
    const records = new SealRecords(sealed);
    const plain = store.add(OTHER, [PLAIN_LAYER]);
    const chains = store.add(NAME, [PLAIN_LAYER, ENCRYPTED_LAYER, ENCRYPTED_LAYER]);
    store.write([...last(plain), ...last(chains)]);
    const open = [`warning: ${NAME} has a layer without a seal record: every Pod may use it`];
    expect(await findings({ records })).toEqual(open);
    for (const [i, expected] of [open, open, []].entries()) {
      const place = join(sealed, chains[i]?.replace("sha256:", "") ?? "");
      mkdirSync(place);
      writeFileSync(join(place, "x.json"), "{}");
      expect(await findings({ records })).toEqual(expected);
    }
  });
});

test("layers that no key opens are named", () => {
  const layer = (position: number, opens?: object[] | null) => ({
    position,
    ...(opens !== undefined && { encryption: { opens } }),
  });
  const info = {
    platforms: [{ platform: "linux/arm64", layers: [layer(1), layer(2, [{}]), layer(3, null)] }],
  };
  expect([...unopenedLayers(info as unknown as ImageInfo)]).toEqual([
    { severity: "error", message: "no key here opens layer 3 of the image for linux/arm64" },
  ]);
});
