import { expect, it } from "vitest";
import { OCI_CONFIG, OCI_MANIFEST } from "../../../src/spec/media-types.ts";
import { readSmall } from "../../../src/transport/blob.ts";
import { parseSource } from "../../../src/transport/reference.ts";
import { end, TestRegistry } from "../../support/registry.ts";

const MIB = 1 << 20;

it("keeps at most 8 MiB of what was read whole", async () => {
  const registry = await TestRegistry.start();
  try {
    registry.addManifest("app", "v1", { schemaVersion: 2, layers: [] }, OCI_MANIFEST);
    const source = await parseSource(`docker://${registry.host}/app:v1`).open();
    const descriptors = [5 * MIB, 3 * MIB, 1].map((size, i) => ({
      mediaType: OCI_CONFIG,
      digest: registry.addBlob("app", Buffer.alloc(size, i)),
      size,
    }));
    for (const descriptor of [...descriptors, ...descriptors]) await readSmall(source, descriptor, 8 * MIB);
    await source.close();
    const gets = descriptors.map(
      ({ digest }) => registry.log.filter((line) => line === `GET /v2/app/blobs/${digest}`).length,
    );
    expect(gets).toEqual([1, 1, 2]);
  } finally {
    await registry.stop();
  }
});

it("asks once for what only a note or a hint needs", async () => {
  const registry = await TestRegistry.start();
  try {
    registry.addManifest("app", "v1", { schemaVersion: 2, layers: [] }, OCI_MANIFEST);
    registry.intercept = ({ url = "" }, response) => {
      const isExtra = /referrers|tags\/list/.test(url);
      response.setHeader("Retry-After", "0");
      if (isExtra) end(response, 503);
      return isExtra;
    };
    const source = await parseSource(`docker://${registry.host}/app:v1`).open();
    expect(await source.hasReferrers?.()).toBe(false);
    await source.close();
    await expect(parseSource(`docker://${registry.host}/app:v9`).open()).rejects.toMatchObject({
      code: "NOT_FOUND",
    });
    expect(registry.log.filter((line) => /referrers|tags/.test(line))).toHaveLength(2);
  } finally {
    await registry.stop();
  }
});
