import { existsSync, writeFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { OCI_INDEX } from "../../../src/spec/media-types.ts";
import { blobPath, writeBlob } from "../../support/images.ts";
import { copyLayout, putIndex, putManifest, rootOf, tagRoot } from "../../support/layouts.ts";
import { encrypt, layer, Workbench } from "./setup.ts";

const bench = new Workbench();

describe("an image that is malformed is refused:", () => {
  const refused = async (path: string, code: string) => {
    const target = bench.fresh();
    const failed = encrypt(`oci:${path}`, `oci:${target}`, { recipients: [bench.a.recipient] });
    await expect(failed).rejects.toMatchObject({ code });
    expect(existsSync(target)).toBe(false);
  };

  test("a manifest that is an index too", async () => {
    await refused(bench.image([await layer("x")], { manifest: { manifests: [] } }), "BAD_IMAGE");
  });

  test("a manifest that says it is something else", async () => {
    await refused(bench.image([await layer("x")], { manifest: { mediaType: OCI_INDEX } }), "BAD_IMAGE");
  });

  test("a manifest whose bytes are not what its digest says", async () => {
    const path = copyLayout(bench.image([await layer("x")]), bench.fresh());
    const { digest, size } = rootOf(path);
    writeFileSync(blobPath(path, digest), Buffer.alloc(size, " "));
    await refused(path, "DIGEST_MISMATCH");
  });

  test("indexes nested too deep", async () => {
    const path = bench.fresh();
    let entry = putManifest(path, [await layer("x")]);
    for (let depth = 0; depth <= 8; depth++) entry = putIndex(path, [entry]);
    tagRoot(path, entry);
    await refused(path, "LIMIT");
  });

  test("an index that names another a thousand times, which does the same", async () => {
    const path = bench.fresh();
    let entry = putManifest(path, [await layer("x")]);
    for (let depth = 0; depth < 4; depth++)
      entry = putIndex(
        path,
        Array.from({ length: 1024 }, () => entry),
      );
    tagRoot(path, entry);
    await refused(path, "LIMIT");
  });

  test("something that is no image at all", async () => {
    const path = bench.fresh();
    tagRoot(path, writeBlob(path, "text/plain", gunzipSync((await layer("x")).bytes)));
    await refused(path, "BAD_IMAGE");
  });
});
