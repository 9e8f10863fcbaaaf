import { describe, expect, test } from "vitest";
import { extractLayer } from "../../../src/image/layer.ts";
import { SILENT } from "../../../src/image/progress.ts";
import { EVERYTHING } from "../../../src/image/select.ts";
import { verifyImage } from "../../../src/image/verify.ts";
import { OCI_MANIFEST } from "../../../src/spec/media-types.ts";
import { parseSource } from "../../../src/transport/reference.ts";
import { writeBlob } from "../../support/images.ts";
import { tagRoot } from "../../support/layouts.ts";
import { forge, keySet, layer, manifest, SETTINGS, Workbench } from "./setup.ts";

const bench = new Workbench();
const PUBLIC_OPTIONS = "org.opencontainers.image.enc.pubopts";

/** Flips one bit of a byte of the HMAC in the first layer's public options. */
function forgeHmac(path: string, position: number): void {
  const document = manifest(path);
  const [first, ...others] = document.layers;
  const options = JSON.parse(Buffer.from(first.annotations[PUBLIC_OPTIONS], "base64").toString());
  const hmac = Buffer.from(options.hmac, "base64");
  hmac[position] = (hmac[position] ?? 0) ^ 1;
  const text = JSON.stringify({ ...options, hmac: hmac.toString("base64") });
  const annotations = { ...first.annotations, [PUBLIC_OPTIONS]: Buffer.from(text).toString("base64") };
  const layers = [{ ...first, annotations }, ...others];
  tagRoot(path, writeBlob(path, OCI_MANIFEST, Buffer.from(JSON.stringify({ ...document, layers }))));
}

const extract = async (path: string) => {
  const written: Uint8Array[] = [];
  const source = await parseSource(`oci:${path}`).open();
  const output = { write: (bytes: Uint8Array) => void written.push(Uint8Array.from(bytes)) };
  const opening = { keys: await keySet(bench.a), settings: SETTINGS };
  const where = { output, spoolMemory: 1024, spoolDirectory: bench.folder };
  try {
    await extractLayer(source, { position: 0 }, opening, where);
    return written;
  } catch (error) {
    expect(written).toEqual([]);
    throw error;
  }
};

const verify = async (path: string) => {
  const options = {
    source: parseSource(`oci:${path}`),
    running: { progress: SILENT },
    selection: EVERYTHING,
  };
  const { failures } = await verifyImage({ ...options, keys: await keySet(bench.a), settings: SETTINGS });
  return failures.map(({ code }) => code);
};

describe.each([
  ["a bit of the ciphertext", forge],
  ["the HMAC's first byte", (path: string) => forgeHmac(path, 0)],
  ["the HMAC's 17th byte", (path: string) => forgeHmac(path, 16)],
  ["the HMAC's last byte", (path: string) => forgeHmac(path, 31)],
])("a layer with another %s", (_, change) => {
  test("is refused by decrypt, layer and verify, and nothing of it is written", async () => {
    const path = await bench.encrypted(bench.image([await layer("x")]));
    expect([await verify(path), (await extract(path)).length > 0]).toEqual([[], true]);
    change(path);
    expect(await verify(path)).toEqual(["AUTHENTICATION"]);
    await expect(extract(path)).rejects.toMatchObject({ code: "AUTHENTICATION" });
    await expect(bench.decrypted(path)).rejects.toMatchObject({ code: "AUTHENTICATION" });
  });
});

test("without a position, layer takes the first of several", async () => {
  const [first, second] = [await layer("first"), await layer("second")];
  const path = await bench.encrypted(bench.image([first, second]));
  expect(Buffer.concat(await extract(path)).equals(first.bytes)).toBe(true);
});
