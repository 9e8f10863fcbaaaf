import { expect, test } from "vitest";
import { mostValues } from "../../../src/encoding/json-values.ts";
import { readTree } from "../../../src/image/tree-reader.ts";
import type { Descriptor } from "../../../src/spec/descriptor.ts";
import { OCI_CONFIG, OCI_INDEX, OCI_MANIFEST } from "../../../src/spec/media-types.ts";
import type { ImageSource } from "../../../src/transport/source.ts";
import { sha256 } from "../../support/images.ts";

const MiB = 1_048_576;
const json = (value: object) => new Uint8Array(Buffer.from(JSON.stringify(value)));

/** An image that is made as it is needed: only its documents exist. */
class Documents {
  readonly #bytes = new Map<string, Uint8Array>();

  add(mediaType: string, bytes: Uint8Array): Descriptor {
    const digest = sha256(bytes);
    this.#bytes.set(digest, bytes);
    return { mediaType, digest, size: bytes.length };
  }

  index(manifests: readonly Descriptor[]): Descriptor {
    return this.add(OCI_INDEX, json({ schemaVersion: 2, mediaType: OCI_INDEX, manifests }));
  }

  manifest(config: Partial<Descriptor> = {}): Descriptor {
    const usual = { mediaType: OCI_CONFIG, digest: sha256(json({})), size: 2 };
    return this.add(OCI_MANIFEST, json({ schemaVersion: 2, config: { ...usual, ...config }, layers: [] }));
  }

  source(root: Descriptor): ImageSource {
    return {
      root,
      isUncompressed: false,
      isRemote: true,
      readManifest: async (descriptor) => this.#read(descriptor),
      locate: async (descriptor) => ({ kind: "memory", bytes: this.#read(descriptor) }),
      close: async () => undefined,
    };
  }

  #read({ digest }: Descriptor): Uint8Array {
    const bytes = this.#bytes.get(digest);
    if (bytes === undefined) throw new Error(`bug: ${digest} was not added`);
    return bytes;
  }
}

/** "read", or the code of the error. */
async function outcomeOf(source: ImageSource, readsConfigurations = false): Promise<string> {
  return await readTree(source, { readsConfigurations }).then(
    () => "read",
    ({ code }) => code,
  );
}

test("2,048 documents are read, and no more", async () => {
  const image = new Documents();
  const manifest = image.manifest();
  const index = (count: number) => image.index(Array<Descriptor>(count).fill(manifest));
  // The indexes count, too.
  expect(await outcomeOf(image.source(image.index([index(1024), index(1021)])))).toBe("read");
  expect(await outcomeOf(image.source(image.index([index(1024), index(1022)])))).toBe("LIMIT");
});

test("64 MiB of documents are read, and no more", async () => {
  const image = new Documents();
  const root = image.index(Array<Descriptor>(16).fill(image.manifest()));
  const outcome = async (more: number) => {
    const source = image.source(root);
    const sized = async (descriptor: Descriptor) => {
      const bytes = (await source.readManifest(descriptor)).slice();
      const length = descriptor === root ? 4096 + more : 4 * MiB - 256;
      // Only the length is as large: that many spaces would take their time to be parsed.
      return Object.defineProperty(bytes, "length", { value: length });
    };
    return await outcomeOf({ ...source, readManifest: sized });
  };
  expect(await outcome(0)).toBe("read");
  expect(await outcome(1)).toBe("LIMIT");
});

test("524,288 values are read, and no more", async () => {
  const image = new Documents();
  const config = { mediaType: OCI_CONFIG, digest: sha256(json({})), size: 2 };
  const manifest = (values: number) => {
    const bytes = (count: number) =>
      json({ schemaVersion: 2, config, layers: [], more: Array(count).fill(0) });
    return image.add(OCI_MANIFEST, bytes(values - mostValues(bytes(1)) + 1));
  };
  const large = manifest(131_072);
  const outcome = async (values: number) => {
    const root = image.index([large, large, large, manifest(values)]);
    return await outcomeOf(image.source(root));
  };
  // With the index's own 20.
  expect(await outcome(131_052)).toBe("read");
  expect(await outcome(131_053)).toBe("LIMIT");
});

test("indexes may be nested 8 deep, and no deeper", async () => {
  const image = new Documents();
  const nested = (depth: number) => {
    let entry = image.manifest();
    for (let i = 0; i < depth; i++) entry = image.index([entry]);
    return image.source(entry);
  };
  expect(await outcomeOf(nested(8))).toBe("read");
  expect(await outcomeOf(nested(9))).toBe("LIMIT");
});

test("a configuration of 8 MiB is read, and no larger one", async () => {
  const image = new Documents();
  const outcome = async (size: number) =>
    await outcomeOf(image.source(image.manifest(image.add(OCI_CONFIG, new Uint8Array(size)))), true);
  // It is not JSON.
  expect(await outcome(8 * MiB)).toBe("BAD_IMAGE");
  expect(await outcome(8 * MiB + 1)).toBe("LIMIT");
});
