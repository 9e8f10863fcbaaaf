import { describe, expect, test } from "vitest";
import { SILENT } from "../../../src/image/progress.ts";
import { rewrapImage } from "../../../src/image/rewrap.ts";
import { EVERYTHING } from "../../../src/image/select.ts";
import { parseDestination, parseSource } from "../../../src/transport/reference.ts";
import { type KeyFiles, keySet, layer, manifest, SETTINGS, Workbench } from "./setup.ts";

const bench = new Workbench();

describe("recipients", () => {
  const opens = async (path: string, which: KeyFiles) =>
    await bench.decrypted(path, which).then(
      () => true,
      (error) => (error.code === "NO_KEY" ? false : Promise.reject(error)),
    );

  test("are added without touching the data", async () => {
    const source = await bench.encrypted(bench.image([await layer("x")]));
    const keys = await keySet(bench.a);
    const both = await bench.encrypted(source, { recipients: [], addRecipients: [bench.b.recipient], keys });
    const [before, after] = [manifest(source).layers[0], manifest(both).layers[0]];
    expect(after).toMatchObject({ digest: before.digest, size: before.size, mediaType: before.mediaType });
    expect(after.annotations["org.opencontainers.image.enc.keys.jwe"]).toMatch(
      new RegExp(
        `^${before.annotations["org.opencontainers.image.enc.keys.jwe"].replace(/[+]/g, "\\+")},[^,]+$`,
      ),
    );
    expect([await opens(both, bench.a), await opens(both, bench.b)]).toEqual([true, true]);
  });

  test("are not added to encrypted layers by mistake, nor left out for plain ones", async () => {
    const source = bench.image([await layer("x"), await layer("y")]);
    const half = await bench.encrypted(source, { selection: { ...EVERYTHING, layers: [0] } });
    await expect(bench.encrypted(half)).rejects.toMatchObject({ code: "BAD_MEDIA_TYPE" });
    const keys = await keySet(bench.a);
    const added = { recipients: [], addRecipients: [bench.b.recipient], keys };
    await expect(bench.encrypted(half, added)).rejects.toMatchObject({ code: "BAD_RECIPIENT" });
    const all = await bench.encrypted(half, { ...added, recipients: [bench.b.recipient] });
    expect([await opens(all, bench.a), await opens(all, bench.b)]).toEqual([false, true]);
  });

  test.each([
    { keep: false, opened: [false, true] },
    { keep: true, opened: [true, true] },
  ])("are changed by rewrap, keep: $keep", async ({ keep, opened }) => {
    const [source, path] = [await bench.encrypted(bench.image([await layer("x")])), bench.fresh()];
    const keys = await keySet(bench.a);
    const into = { destination: parseDestination(`oci:${path}:v1`), replace: false };
    const options = { into, keys, keep, recipients: [bench.b.recipient], settings: SETTINGS };
    const running = { progress: SILENT };
    await rewrapImage({ ...options, source: parseSource(`oci:${source}`), running, selection: EVERYTHING });
    expect(manifest(path).layers[0].digest).toBe(manifest(source).layers[0].digest);
    expect([await opens(path, bench.a), await opens(path, bench.b)]).toEqual(opened);
  });
});
