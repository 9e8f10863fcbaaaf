import { createHash, sign } from "node:crypto";
import { encodeBase64 } from "../../encoding/base64.ts";
import { digestOf } from "../../io/digester.ts";
import type { Descriptor } from "../../spec/descriptor.ts";
import { OCI_CONFIG, OCI_INDEX, OCI_MANIFEST } from "../../spec/media-types.ts";
import type { PublicKey } from "../check/key.ts";
import { COSIGN_TYPE } from "../check/payload.ts";
import { IN_TOTO, preAuthentication, SIGNATURE_PREDICATE } from "../check/statement.ts";
import type { SigningKey } from "./cosign-key.ts";

/** What is signed: the manifest or index, and the name that the signature is for. */
export interface Signable {
  /** Descriptor of the manifest or index. */
  readonly descriptor: Descriptor;
  /** `registry.example.com/shop/app:1.0`, which policies compare with what is pulled. */
  readonly name: string;
  readonly annotations: Readonly<Record<string, string>>;
}

/** A blob or manifest in memory. */
export interface Content {
  readonly descriptor: Descriptor;
  readonly bytes: Uint8Array;
}

/** A manifest with the blobs that it names, which must be stored before it. */
export interface Artifact {
  readonly blobs: readonly Content[];
  readonly manifest: Content;
}

const SIMPLE_SIGNING = "application/vnd.dev.cosign.simplesigning.v1+json";
export const SIGNATURE_ANNOTATION = "dev.cosignproject.cosign/signature";
export const BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json";
const EMPTY = "application/vnd.oci.empty.v1+json";
/** Go's zero time, which keeps signatures of one digest alike. */
const NO_TIME = "0001-01-01T00:00:00Z";
const STATEMENT_TYPE = "https://in-toto.io/Statement/v1";

/** One signature as cosign 2, skopeo, podman and CRI-O read it: a layer, with the payload as its blob. */
export function signSimple(image: Signable, key: SigningKey): Content {
  const { descriptor, name, annotations } = image;
  const bytes = json({
    critical: {
      identity: { "docker-reference": name },
      image: { "docker-manifest-digest": descriptor.digest },
      type: COSIGN_TYPE,
    },
    optional: Object.keys(annotations).length > 0 ? annotations : null,
  });
  const signature = encodeBase64(signBytes(bytes, key));
  return content(SIMPLE_SIGNING, bytes, { [SIGNATURE_ANNOTATION]: signature });
}

/**
 * The manifest of simple signatures, for the tag `sha256-<hex>.sig`.
 * @param layers those that were there before, then new ones
 */
export function simpleArtifact(layers: readonly Descriptor[], added: readonly Content[]): Artifact {
  const all = [...layers, ...added.map(({ descriptor }) => descriptor)];
  const config = content(
    OCI_CONFIG,
    json({
      architecture: "",
      created: NO_TIME,
      history: all.map(() => ({ created: NO_TIME })),
      os: "",
      rootfs: { type: "layers", diff_ids: all.map(({ digest }) => digest) },
      config: {},
    }),
  );
  const manifest = { schemaVersion: 2, mediaType: OCI_MANIFEST, config: config.descriptor, layers: all };
  return { blobs: [...added, config], manifest: content(OCI_MANIFEST, json(manifest)) };
}

/** The signature as cosign 3 reads it: a Sigstore bundle in a manifest that refers to the image. */
export function bundleArtifact(image: Signable, key: SigningKey): Artifact {
  const { descriptor, name, annotations } = image;
  const sha256 = descriptor.digest.slice("sha256:".length);
  const payload = json({
    _type: STATEMENT_TYPE,
    subject: [{ name, digest: { sha256 }, annotations }],
    predicateType: SIGNATURE_PREDICATE,
    predicate: {},
  });
  const bundle = content(BUNDLE, signStatement(payload, key));
  const config = content(EMPTY, Buffer.from("{}"));
  const { mediaType, digest, size } = descriptor;
  const manifest = content(
    OCI_MANIFEST,
    json({
      schemaVersion: 2,
      mediaType: OCI_MANIFEST,
      artifactType: BUNDLE,
      config: config.descriptor,
      layers: [bundle.descriptor],
      subject: { mediaType, digest, size },
      annotations: {
        "dev.sigstore.bundle.content": "dsse-envelope",
        "dev.sigstore.bundle.predicateType": SIGNATURE_PREDICATE,
      },
    }),
  );
  return {
    blobs: [bundle, config],
    manifest: { ...manifest, descriptor: { ...manifest.descriptor, artifactType: BUNDLE } },
  };
}

/**
 * The index under the fallback tag, which lists what refers to an image (distribution-spec, "Unavailable Referrers API").
 * @param before what is under the tag now; its other members are kept
 */
export function indexContent(before: object | null, manifests: readonly Descriptor[]): Content {
  return content(OCI_INDEX, json({ schemaVersion: 2, mediaType: OCI_INDEX, ...before, manifests }));
}

/**
 * Signs an in-toto statement as a DSSE envelope.
 * @param statement JSON
 * @returns a Sigstore bundle, version 0.3
 */
export function signStatement(statement: Uint8Array, key: SigningKey): Uint8Array {
  const signature = signBytes(preAuthentication({ payloadType: IN_TOTO, payload: statement }), key);
  return json({
    mediaType: BUNDLE,
    verificationMaterial: { publicKey: { hint: hintOf(key.publicKey) } },
    dsseEnvelope: {
      payload: encodeBase64(statement),
      payloadType: IN_TOTO,
      signatures: [{ sig: encodeBase64(signature) }],
    },
  });
}

/** cosign 3 verifies bundles by P-384 keys with SHA-256 only, even where cosign itself writes others. */
export function signBytes(bytes: Uint8Array, { privateKey, publicKey }: SigningKey): Uint8Array {
  return sign(publicKey.algorithm === "ed25519" ? null : "sha256", bytes, privateKey);
}

/** How bundles name a key: base64 of its SPKI's SHA-256. */
function hintOf({ spki }: PublicKey): string {
  return createHash("sha256").update(spki).digest("base64");
}

function json(value: unknown): Uint8Array {
  return Buffer.from(JSON.stringify(value));
}

function content(
  mediaType: string,
  bytes: Uint8Array,
  annotations?: Readonly<Record<string, string>>,
): Content {
  const descriptor = {
    mediaType,
    size: bytes.length,
    digest: digestOf(bytes),
    ...(annotations && { annotations }),
  };
  return { descriptor, bytes };
}
