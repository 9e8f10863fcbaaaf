import { describe, expect, test } from "vitest";
import { DecoderError, type ErrorCode } from "../../../../src/errors.ts";
import type { Descriptor } from "../../../../src/spec/descriptor.ts";
import type { ArtifactStore } from "../../../../src/trust/find/artifact-store.ts";
import {
  parseArtifactIndex,
  parseArtifactManifest,
  reading,
} from "../../../../src/trust/find/attachments.ts";
import { findReferrers } from "../../../../src/trust/find/referrers.ts";
import { findByTag } from "../../../../src/trust/find/tag-signatures.ts";
import { sha256 } from "../../../support/images.ts";

const DIGEST = `sha256:${"ab".repeat(32)}`;
const DESCRIPTOR = { mediaType: "t", digest: DIGEST, size: 1 };
const json = (value: unknown) => Buffer.from(JSON.stringify(value));

describe("a manifest of signatures", () => {
  const parse = (value: unknown) => parseArtifactManifest(json(value), "the manifest");

  test("has layers, and perhaps a type and a subject", () => {
    const annotated = [
      DESCRIPTOR,
      { ...DESCRIPTOR, annotations: { a: "b" } },
      { ...DESCRIPTOR, annotations: null },
    ];
    expect(parse({ artifactType: "a", subject: { digest: "d" }, layers: annotated })).toEqual({
      artifactType: "a",
      subject: "d",
      layers: annotated,
    });
    for (const value of [{}, { artifactType: 1, subject: 1 }, { subject: { digest: 1 } }, { subject: null }])
      expect(parse({ ...value, layers: [] })).toEqual({
        artifactType: undefined,
        subject: undefined,
        layers: [],
      });
  });

  test("may have layers of no size", () => {
    expect(parse({ layers: [{ ...DESCRIPTOR, size: 0 }] }).layers).toHaveLength(1);
  });

  test.each<[unknown]>([
    [undefined],
    [{}],
    [[null]],
    [[1]],
    [[DESCRIPTOR, {}]],
    [[{ ...DESCRIPTOR, mediaType: 1 }]],
    [[{ ...DESCRIPTOR, digest: 1 }]],
    [[{ ...DESCRIPTOR, digest: "sha256:ab" }]],
    [[{ ...DESCRIPTOR, size: "1" }]],
    [[{ ...DESCRIPTOR, size: 1.5 }]],
    [[{ ...DESCRIPTOR, size: -1 }]],
    [[{ ...DESCRIPTOR, size: 2 ** 53 }]],
    [[{ ...DESCRIPTOR, annotations: [] }]],
    [[{ ...DESCRIPTOR, annotations: "a" }]],
    [[{ ...DESCRIPTOR, annotations: { a: 1 } }]],
    [[{ ...DESCRIPTOR, annotations: { a: "b", c: 1 } }]],
  ])("or an index of %j is refused", (list) => {
    const refused = (message: string) => ({ code: "BAD_IMAGE", message });
    expect(() => parse({ layers: list })).toThrow(
      expect.objectContaining(refused("the manifest is not a manifest with layers")),
    );
    expect(() => parseArtifactIndex(json({ manifests: list }), "the index")).toThrow(
      expect.objectContaining(refused("the index is not an index of manifests")),
    );
  });

  test.each([
    ["[]", /^x is not a manifest$/],
    ["1", /^x is not a manifest$/],
    ["{", /^x is not a manifest: .+/],
  ])("is an object: %s", (text, message) => {
    for (const parseAs of [parseArtifactManifest, parseArtifactIndex])
      expect(() => parseAs(Buffer.from(text), "x")).toThrow(
        expect.objectContaining({ code: "BAD_IMAGE", message: expect.stringMatching(message) }),
      );
  });

  test("is an index in the place of one", () => {
    expect(parseArtifactIndex(json({ manifests: [DESCRIPTOR] }), "the index")).toEqual([DESCRIPTOR]);
  });
});

test.each<[ErrorCode, boolean]>([
  ["NOT_FOUND", true],
  ["DIGEST_MISMATCH", true],
  ["SIZE_MISMATCH", true],
  ["BAD_IMAGE", true],
  ["BAD_DESCRIPTOR", true],
  ["LIMIT", true],
  ["REGISTRY", false],
  ["UNAUTHORIZED", false],
  ["IO", false],
])("what can't be read for %s is a signature that is unreadable: %s", async (code, isUnreadable) => {
  const error = new DecoderError(code, "it is lost");
  const found = [{ form: "unreadable", where: "x", problem: "it is lost" }];
  expect(
    await reading("x", async () => {
      throw error;
    }),
  ).toEqual(isUnreadable ? { found, failures: [] } : { found: [], failures: [error] });
});

test("a defect is neither unreadable nor a failure", async () => {
  const read = async () => {
    throw new TypeError("a defect");
  };
  await expect(reading("x", read)).rejects.toThrow("a defect");
});

/** A store of these manifests, by reference. */
function storeOf(
  manifests: Readonly<Record<string, object>>,
  referrers: readonly Descriptor[] = [],
): ArtifactStore {
  return {
    manifest: async (digest) => {
      const found = manifests[digest];
      return found && { bytes: json(found), digest, mediaType: "" };
    },
    blob: async () => new Uint8Array(),
    referrers: async () => referrers,
  };
}

describe("what refers to an image", () => {
  const BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json";
  const NOTARY = "application/vnd.cncf.notary.signature";
  const referrer = { ...DESCRIPTOR, digest: sha256(Buffer.from("referrer")) };
  const where = `referrer ${referrer.digest}`;
  const findWith = async (manifest: object | undefined) => {
    const manifests = manifest === undefined ? {} : { [referrer.digest]: manifest };
    const { found, failures } = await findReferrers(storeOf(manifests, [referrer]), DIGEST, ["sig"]);
    expect(failures).toEqual([]);
    return found;
  };
  const layer = (mediaType: string) => ({ ...DESCRIPTOR, mediaType });
  const subject = { digest: DIGEST };

  test.each([
    BUNDLE,
    "application/vnd.dev.sigstore.bundle+json",
    "application/vnd.dev.sigstore.bundle+json;version=0.1",
  ])("is a bundle if its first layer is %s", async (mediaType) => {
    expect(await findWith({ subject, layers: [layer(mediaType)] })).toEqual([
      { form: "bundle", where, bundle: new Uint8Array() },
    ]);
  });

  test.each([[[]], [[layer("text/plain"), layer(BUNDLE)]], [[layer(`x${BUNDLE}`)]], [[layer(`${BUNDLE}x`)]]])(
    "is nothing with the layers %j",
    async (layers) => {
      expect(await findWith({ subject, layers })).toEqual([]);
    },
  );

  test.each<[object | undefined, string]>([
    [undefined, "its manifest is missing"],
    [{ layers: [layer(BUNDLE)] }, "its subject does not match the image's digest: missing"],
    [
      { subject: { digest: "sha256:1" }, layers: [layer(BUNDLE)] },
      "its subject does not match the image's digest: sha256:1",
    ],
    [
      { subject, artifactType: NOTARY, layers: [layer("t")] },
      "it is a Notary Project signature, which is not supported",
    ],
    [
      { subject, layers: [layer("t"), layer(NOTARY)] },
      "it is a Notary Project signature, which is not supported",
    ],
  ])("is unreadable as %j: %s", async (manifest, problem) => {
    expect(await findWith(manifest)).toEqual([{ form: "unreadable", where, problem }]);
  });
});

describe("what is under a tag", () => {
  const SIMPLE = "application/vnd.dev.cosign.simplesigning.v1+json";
  const ENVELOPE = "application/vnd.dsse.envelope.v1+json";
  const TAG = DIGEST.replace(":", "-");
  const annotations = {
    "dev.cosignproject.cosign/signature": "c2ln",
    "dev.sigstore.cosign/certificate": "certificate",
    "dev.sigstore.cosign/chain": "chain",
    "dev.sigstore.cosign/bundle": "entry",
    "dev.sigstore.cosign/rfc3161timestamp": "timestamp",
  };
  const material = {
    certificate: "certificate",
    chain: "chain",
    rekorBundle: "entry",
    timestamp: "timestamp",
  };
  const find = async (kind: "sig" | "att", ...layers: readonly object[]) => {
    const { found, failures } = await findByTag(storeOf({ [`${TAG}.${kind}`]: { layers } }), DIGEST, kind);
    expect(failures).toEqual([]);
    return found;
  };

  test("is a signature or an attestation with all that is beside it", async () => {
    const empty = new Uint8Array();
    const where = (position: number) => `${TAG}.sig layer ${position}`;
    const simple = { ...DESCRIPTOR, mediaType: SIMPLE };
    expect(await find("sig", { ...simple, annotations }, simple, { ...simple, mediaType: ENVELOPE })).toEqual(
      [
        { form: "simple", where: where(0), payload: empty, signature: "c2ln", ...material },
        { form: "simple", where: where(1), payload: empty, signature: "" },
        { form: "unreadable", where: where(2), problem: `its media type is "${ENVELOPE}"` },
      ],
    );
    expect(await find("att", { ...simple, mediaType: ENVELOPE, annotations }, simple)).toEqual([
      { form: "envelope", where: `${TAG}.att layer 0`, envelope: empty, ...material },
      { form: "unreadable", where: `${TAG}.att layer 1`, problem: `its media type is "${SIMPLE}"` },
    ]);
  });

  test.each(Object.keys(annotations).slice(1))("has no %s that is empty", async (name) => {
    const [found] = await find("sig", { ...DESCRIPTOR, mediaType: SIMPLE, annotations: { [name]: "" } });
    expect(Object.keys(found ?? {}).sort()).toEqual(["form", "payload", "signature", "where"]);
  });

  test("may be nothing, or not a manifest", async () => {
    expect(await findByTag(storeOf({}), DIGEST, "sig")).toEqual({ found: [], failures: [] });
    const { found } = await findByTag(storeOf({ [`${TAG}.sig`]: {} }), DIGEST, "sig");
    expect(found).toEqual([
      { form: "unreadable", where: `${TAG}.sig`, problem: `${TAG}.sig is not a manifest with layers` },
    ]);
  });
});
