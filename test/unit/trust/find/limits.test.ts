import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { DecoderError } from "../../../../src/errors.ts";
import type { Descriptor } from "../../../../src/spec/descriptor.ts";
import type { ArtifactStore } from "../../../../src/trust/find/artifact-store.ts";
import type { Findings } from "../../../../src/trust/find/attachments.ts";
import { findInLookaside } from "../../../../src/trust/find/lookaside.ts";
import { findReferrers } from "../../../../src/trust/find/referrers.ts";
import { findInFolder } from "../../../../src/trust/find/signature-folder.ts";
import { findByTag } from "../../../../src/trust/find/tag-signatures.ts";
import { sha256 } from "../../../support/images.ts";
import { temporaryFolder } from "../../../support/temporary.ts";

const folder = temporaryFolder();
const DIGEST = `sha256:${"ab".repeat(32)}`;
const PLACE = DIGEST.replace(":", "-");
const NAME = { registry: "registry.test", path: "app", tag: undefined, digest: undefined };
const BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json";
const SIMPLE = "application/vnd.dev.cosign.simplesigning.v1+json";
let number = 0;

/** A manifest, and blobs of a size. Like a registry and a layout, it refuses to read more than it may. */
function storeOf(manifest: object, size: number, referrers: readonly Descriptor[] = []): ArtifactStore {
  const bytes = Buffer.from(JSON.stringify(manifest));
  return {
    manifest: async (digest) => ({ bytes, digest, mediaType: "" }),
    blob: async (_, most) => {
      if (size > most) throw new DecoderError("LIMIT", "too large");
      return new Uint8Array(size);
    },
    referrers: async () => referrers,
  };
}

const descriptors = (mediaType: string, count: number): Descriptor[] =>
  Array.from({ length: count }, (_, i) => ({ mediaType, digest: sha256(Buffer.from(String(i))), size: 1 }));

/** A folder with files of a size. */
function writeFiles(inner: string, names: readonly string[], size: number): string {
  const root = join(folder, String(number++));
  mkdirSync(join(root, inner), { recursive: true });
  for (const name of names) writeFileSync(join(root, inner, name), new Uint8Array(size));
  return root;
}

/** A folder with a file as `trust fetch` writes it, of a payload of a size. */
function writeAnnotated(name: string, size: number): string {
  const root = writeFiles(PLACE, [], 0);
  const annotations = { "dev.sigstore.cosign/chain": "x".repeat(10_000) };
  const payload = Buffer.alloc(size).toString("base64");
  writeFileSync(join(root, PLACE, name), JSON.stringify({ payload, annotations }));
  return root;
}

/** Finds so many signatures of that size in some place. */
type Find = (count: number, size: number) => Promise<Findings>;

const byTag: Find = (count, size) =>
  findByTag(storeOf({ layers: descriptors(SIMPLE, count) }, size), DIGEST, "sig");

const byReference: Find = (count, size) => {
  const manifest = { subject: { digest: DIGEST }, layers: descriptors(BUNDLE, 1) };
  return findReferrers(storeOf(manifest, size, descriptors("", count)), DIGEST, ["sig"]);
};

const inFolder: Find = (count, size) => {
  const names = Array.from({ length: count }, (_, i) => `${i}.sigstore.json`);
  return findInFolder(writeFiles(PLACE, names, size), DIGEST, []);
};

const inLookaside: Find = (count, size) => {
  const names = Array.from({ length: count }, (_, i) => `signature-${i + 1}`);
  const root = writeFiles(`${NAME.path}@${DIGEST.replace(":", "=")}`, names, size);
  return findInLookaside({ lookaside: () => root, defaultLookaside: "/none" }, NAME, DIGEST);
};

describe.each([
  ["under a tag", byTag],
  ["that refer to an image", byReference],
  ["in a folder", inFolder],
  ["in a lookaside", inLookaside],
])("signatures %s", (_where, find) => {
  test("64 are read, and no more", async () => {
    expect((await find(64, 1)).found).toHaveLength(64);
    expect((await find(65, 1)).found).toHaveLength(64);
  });

  test("1 MiB of one is read, and no larger one is", async () => {
    const isRead = async (size: number) => {
      const { found, failures } = await find(1, size);
      return failures.length === 0 && found.length === 1 && found[0]?.form !== "unreadable";
    };
    expect(await isRead(1_048_576)).toBe(true);
    expect(await isRead(1_048_577)).toBe(false);
  });
});

test("files of one kind in a folder do not crowd out those of another", async () => {
  const names = ["sig.json", "sigstore.json", "att.json", "txt"].flatMap((ending) =>
    Array.from({ length: 65 }, (_, i) => `${i}.${ending}`),
  );
  const root = writeFiles(PLACE, names, 1);
  expect((await findInFolder(root, DIGEST, ["sig"])).found).toHaveLength(128);
  expect((await findInFolder(root, DIGEST, ["sig", "att"])).found).toHaveLength(192);
});

describe.each([
  ["under a tag", (store: ArtifactStore) => findByTag(store, DIGEST, "att")],
  ["that refer to an image", (store: ArtifactStore) => findReferrers(store, DIGEST, ["att"])],
])("attestations %s", (_where, find) => {
  const ENVELOPE = "application/vnd.dsse.envelope.v1+json";
  /** Whether all attestations of these sizes are read. */
  async function areRead(...sizes: readonly number[]): Promise<boolean> {
    const layers = (mediaType: string) =>
      sizes.map((size, i) => ({ mediaType, size, digest: sha256(Buffer.from(String(i))) }));
    const store: ArtifactStore = {
      manifest: async (reference) => {
        const bundle = layers(BUNDLE).filter(({ digest }) => digest === reference);
        const manifest = {
          subject: { digest: DIGEST },
          layers: bundle.length > 0 ? bundle : layers(ENVELOPE),
        };
        return { bytes: Buffer.from(JSON.stringify(manifest)), digest: reference, mediaType: "" };
      },
      blob: async ({ size }, most) => {
        if (size > most) throw new DecoderError("LIMIT", "too large");
        return new Uint8Array();
      },
      referrers: async () => layers(BUNDLE),
    };
    const { found } = await find(store);
    return found.length === sizes.length && found.every(({ form }) => form !== "unreadable");
  }

  test("16 MiB of one are read, and 32 MiB of all", async () => {
    expect(await areRead(16_777_216)).toBe(true);
    expect(await areRead(16_777_217)).toBe(false);
    expect(await areRead(16_777_216, 16_777_216)).toBe(true);
    expect(await areRead(16_777_216, 16_777_216, 1)).toBe(false);
  });
});

describe.each([
  ["a bundle", (size: number) => writeFiles(PLACE, ["0.sigstore.json"], size)],
  ["an envelope", (size: number) => writeAnnotated("0.att.json", size)],
])("%s in a folder", (_what, write) => {
  test("16 MiB of an attestation are read, and no more", async () => {
    const isRead = async (size: number) => {
      const { found, failures } = await findInFolder(write(size), DIGEST, ["att"]);
      expect([found.length, failures]).toEqual([1, []]);
      return found[0]?.form !== "unreadable";
    };
    expect(await isRead(16_777_216)).toBe(true);
    expect(await isRead(16_777_217)).toBe(false);
  });
});

test("1 MiB of a signature in a folder is read, and no more", async () => {
  const forms = async (size: number) =>
    (await findInFolder(writeAnnotated("0.sig.json", size), DIGEST, ["sig"])).found.map(({ form }) => form);
  expect(await forms(1_048_576)).toEqual(["simple"]);
  expect(await forms(1_048_577)).toEqual(["unreadable"]);
});

test("an attestation that is too large for a signature is no failure of its place", async () => {
  const large = { ...descriptors(BUNDLE, 1)[0], size: 1_048_577 };
  const store = storeOf({ subject: { digest: DIGEST }, layers: [large] }, 1_048_577, descriptors("", 1));
  const attached = await findReferrers(store, DIGEST, ["sig"]);
  const local = await findInFolder(writeFiles(PLACE, ["0.sigstore.json"], 1_048_577), DIGEST, ["sig"]);
  for (const { found, failures } of [attached, local]) {
    expect(failures).toEqual([]);
    expect(found).toMatchObject([
      { form: "unreadable", problem: "it has 1048577 bytes, and a signature may have at most 1048576" },
    ]);
  }
});

test("an attestation that is too large to be read leaves the others their room", async () => {
  const layers = [20_000_000, 16_777_216, 16_777_216].map((size, i) => ({
    mediaType: "application/vnd.dsse.envelope.v1+json",
    size,
    digest: sha256(Buffer.from(String(i))),
  }));
  const { found } = await findByTag(storeOf({ layers }, 1), DIGEST, "att");
  expect(found.map(({ form }) => form)).toEqual(["unreadable", "envelope", "envelope"]);
});
