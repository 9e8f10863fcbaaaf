import { createHash, generateKeyPairSync, type KeyObject, verify } from "node:crypto";
import { expect, test } from "vitest";
import { preAuthentication } from "../../../../src/trust/check/statement.ts";
import {
  bundleArtifact,
  indexContent,
  signSimple,
  simpleArtifact,
} from "../../../../src/trust/sign/artifacts.ts";
import { readSigningKey } from "../../../../src/trust/sign/cosign-key.ts";
import { sha256 } from "../../../support/images.ts";
import { newKey, spkiOf } from "../../../support/sigstore.ts";

const MANIFEST = "application/vnd.oci.image.manifest.v1+json";
const BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json";
const SIMPLE = "application/vnd.dev.cosign.simplesigning.v1+json";
const DIGEST = `sha256:${"ab".repeat(32)}`;
const IMAGE = {
  descriptor: { mediaType: MANIFEST, digest: DIGEST, size: 5, annotations: { a: "b" } },
  name: "a.test/b:1",
  annotations: {},
};
const signingKey = (privateKey: KeyObject) =>
  readSigningKey(
    Buffer.from(privateKey.export({ format: "pem", type: "pkcs8" }) as string),
    undefined,
    "key",
  );
const [EC, ED25519] = [newKey(), generateKeyPairSync("ed25519")];
const parse = (bytes: Uint8Array) => JSON.parse(Buffer.from(bytes).toString());
const base64 = (text: string) => Buffer.from(text, "base64");

test.each([
  ["ECDSA", EC, "sha256"],
  ["Ed25519", ED25519, null],
])("a simple signature by %s is over its payload", (_what, { privateKey, publicKey }, hash) => {
  const { bytes, descriptor } = signSimple(IMAGE, signingKey(privateKey));
  const critical = {
    identity: { "docker-reference": "a.test/b:1" },
    image: { "docker-manifest-digest": DIGEST },
    type: "cosign container image signature",
  };
  expect(parse(bytes)).toEqual({ critical, optional: null });
  const annotation = "dev.cosignproject.cosign/signature";
  expect(descriptor).toEqual({
    ...{ mediaType: SIMPLE, digest: sha256(bytes), size: bytes.length },
    annotations: { [annotation]: expect.any(String) },
  });
  expect(verify(hash, bytes, publicKey, base64(descriptor.annotations?.[annotation] ?? ""))).toBe(true);
  const annotated = signSimple({ ...IMAGE, annotations: { env: "prod" } }, signingKey(privateKey));
  expect(parse(annotated.bytes)).toEqual({ critical, optional: { env: "prod" } });
});

test("a manifest of simple signatures has the old ones, then the new", () => {
  const before = { mediaType: SIMPLE, digest: sha256(Buffer.from("before")), size: 6 };
  const added = signSimple(IMAGE, signingKey(EC.privateKey));
  const { blobs, manifest } = simpleArtifact([before], [added]);
  const [signature, config] = blobs;
  expect([blobs.length, signature]).toEqual([2, added]);
  expect(parse(config?.bytes ?? Buffer.of())).toEqual({
    architecture: "",
    created: "0001-01-01T00:00:00Z",
    history: [{ created: "0001-01-01T00:00:00Z" }, { created: "0001-01-01T00:00:00Z" }],
    os: "",
    rootfs: { type: "layers", diff_ids: [before.digest, added.descriptor.digest] },
    config: {},
  });
  expect(parse(manifest.bytes)).toEqual({
    schemaVersion: 2,
    mediaType: MANIFEST,
    config: config?.descriptor,
    layers: [before, added.descriptor],
  });
  expect(manifest.descriptor).toEqual({
    ...{ mediaType: MANIFEST, digest: sha256(manifest.bytes), size: manifest.bytes.length },
  });
});

test("a bundle is in a manifest that refers to the image", () => {
  const image = { ...IMAGE, annotations: { env: "prod" } };
  const { blobs, manifest } = bundleArtifact(image, signingKey(EC.privateKey));
  const [bundle, config] = blobs;
  expect([blobs.length, Buffer.from(config?.bytes ?? []).toString()]).toEqual([2, "{}"]);
  expect(config?.descriptor.mediaType).toBe("application/vnd.oci.empty.v1+json");
  expect(parse(manifest.bytes)).toEqual({
    schemaVersion: 2,
    mediaType: MANIFEST,
    artifactType: BUNDLE,
    config: config?.descriptor,
    layers: [bundle?.descriptor],
    subject: { mediaType: MANIFEST, digest: DIGEST, size: 5 },
    annotations: {
      "dev.sigstore.bundle.content": "dsse-envelope",
      "dev.sigstore.bundle.predicateType": "https://sigstore.dev/cosign/sign/v1",
    },
  });
  expect(manifest.descriptor).toMatchObject({ mediaType: MANIFEST, artifactType: BUNDLE });
  const { mediaType, verificationMaterial, dsseEnvelope } = parse(bundle?.bytes ?? Buffer.of());
  const hint = createHash("sha256").update(spkiOf(EC.publicKey)).digest("base64");
  expect([mediaType, verificationMaterial]).toEqual([BUNDLE, { publicKey: { hint } }]);
  const { payloadType, payload, signatures } = dsseEnvelope;
  expect([payloadType, JSON.parse(base64(payload).toString())]).toEqual([
    "application/vnd.in-toto+json",
    {
      _type: "https://in-toto.io/Statement/v1",
      subject: [{ name: "a.test/b:1", digest: { sha256: "ab".repeat(32) }, annotations: { env: "prod" } }],
      predicateType: "https://sigstore.dev/cosign/sign/v1",
      predicate: {},
    },
  ]);
  const signed = preAuthentication({ payloadType, payload: base64(payload) });
  expect(
    signatures.map(({ sig }: { sig: string }) => verify("sha256", signed, EC.publicKey, base64(sig))),
  ).toEqual([true]);
});

test("an index of referrers keeps what it had besides", () => {
  const entry = { mediaType: MANIFEST, digest: DIGEST, size: 5 };
  const type = "application/vnd.oci.image.index.v1+json";
  const fresh = indexContent(null, [entry]);
  expect(parse(fresh.bytes)).toEqual({ schemaVersion: 2, mediaType: type, manifests: [entry] });
  expect(fresh.descriptor.mediaType).toBe(type);
  const before = { annotations: { a: "b" }, manifests: [] };
  expect(parse(indexContent(before, [entry]).bytes)).toMatchObject({
    annotations: { a: "b" },
    manifests: [entry],
  });
});
