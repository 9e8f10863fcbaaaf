import { expect, it } from "vitest";
import { OCI_MANIFEST } from "../../../src/spec/media-types.ts";
import { parseDestination, parseSource } from "../../../src/transport/reference.ts";
import { sha256 } from "../../support/images.ts";
import { TestRegistry } from "../../support/registry.ts";

it("removes the uploads that a registry began instead of mounts, and that were not completed", async () => {
  const registry = await TestRegistry.start({ mounts: false });
  try {
    const blobs = ["one", "two"].map((text) => Buffer.from(text));
    for (const bytes of blobs) registry.addBlob("from", bytes);
    registry.addManifest("from", "v1", { schemaVersion: 2, layers: [] }, OCI_MANIFEST);
    const source = await parseSource(`docker://${registry.host}/from:v1`).open();
    const target = parseDestination(`docker://${registry.host}/to:v1`);
    const destination = await target.open({ replace: false, source });
    for (const bytes of blobs) {
      const descriptor = { mediaType: "text/plain", digest: sha256(bytes), size: bytes.length };
      expect(await destination.take(descriptor, source)).toBeUndefined();
    }
    const outputs = [
      await destination.newOutput(),
      await destination.newOutput(),
      await destination.newOutput(),
    ];
    expect(new Set(outputs.map((output) => "begun" in output && output.begun)).size).toBe(3);
    expect(registry.openUploads).toBe(2);
    await destination.close();
    await source.close();
    expect(registry.openUploads).toBe(0);
  } finally {
    await registry.stop();
  }
});
