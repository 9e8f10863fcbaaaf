import { describe, expect, test } from "vitest";
import { SILENT } from "../../../src/image/progress.ts";
import { rewrapImage } from "../../../src/image/rewrap.ts";
import type { RewriteResult } from "../../../src/image/rewrite.ts";
import { EVERYTHING } from "../../../src/image/select.ts";
import { parseDestination, parseSource } from "../../../src/transport/reference.ts";
import { encrypt, type KeyFiles, keySet, layer, manifest, SETTINGS, Workbench } from "./setup.ts";

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

  test("are reported as added, kept and removed", async () => {
    const [source, path] = [await bench.encrypted(bench.image([await layer("x")])), bench.fresh()];
    const keys = await keySet(bench.a);
    const options = { recipients: [], addRecipients: [bench.b.recipient], keys };
    const both = await encrypt(`oci:${source}`, `oci:${path}:v1`, options);
    const count = ({ layers }: RewriteResult) => {
      const { added = [], kept = [], removed = [] } = layers[0]?.recipients ?? {};
      return [added.length, kept.length, removed.length];
    };
    expect(count(both)).toEqual([1, 1, 0]);
    expect(both.layers[0]?.recipients?.added).toMatchObject([{ scheme: "jwe", algorithm: "ECDH-ES+A256KW" }]);
    const into = { destination: parseDestination(`oci:${path}:v2`), replace: false };
    const rewrapped = await rewrapImage({
      source: parseSource(`oci:${path}:v1`),
      into,
      running: { progress: SILENT },
      keys,
      recipients: { added: [bench.b.recipient], removed: [], isOnly: true },
      settings: SETTINGS,
      selection: EVERYTHING,
    });
    const { recipients } = rewrapped.layers[0] ?? {};
    const names = [...(recipients?.kept ?? []), ...(recipients?.added ?? [])];
    expect([names.length, count(rewrapped)[2]].every((it) => it === 1)).toBe(true);
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
    { what: "added", removed: [], isOnly: false, opened: [true, true] },
    { what: "the only ones", removed: [], isOnly: true, opened: [false, true] },
    { what: "replaced", removed: ["a"], isOnly: false, opened: [false, true] },
  ] as const)("are changed by rewrap: $what", async ({ removed, isOnly, opened }) => {
    const [source, path] = [await bench.encrypted(bench.image([await layer("x")])), bench.fresh()];
    const keys = await keySet(bench.a);
    const into = { destination: parseDestination(`oci:${path}:v1`), replace: false };
    const old = removed.map((name) => bench[name].recipient);
    const recipients = { added: [bench.b.recipient], removed: old, isOnly };
    const options = { into, keys, recipients, settings: SETTINGS };
    const running = { progress: SILENT };
    await rewrapImage({ ...options, source: parseSource(`oci:${source}`), running, selection: EVERYTHING });
    expect(manifest(path).layers[0].digest).toBe(manifest(source).layers[0].digest);
    expect([await opens(path, bench.a), await opens(path, bench.b)]).toEqual(opened);
  });
});
