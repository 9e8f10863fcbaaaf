import { decodeBase64 } from "../../encoding/base64.ts";
import { isObject, parseJsonObject } from "../../encoding/json.ts";
import { DecoderError } from "../../errors.ts";
import type { Descriptor } from "../../spec/descriptor.ts";
import * as LIMITS from "../../system-limits.ts";
import { verifyWith } from "../check/key.ts";
import { bytesMessage } from "../check/message.ts";
import { preAuthentication } from "../check/statement.ts";
import {
  type Artifact,
  BUNDLE,
  bundleArtifact,
  type Content,
  indexContent,
  SIGNATURE_ANNOTATION,
  type Signable,
  signSimple,
  simpleArtifact,
} from "./artifacts.ts";
import type { SigningKey } from "./cosign-key.ts";
import type { SignatureStore } from "./signature-store.ts";

export interface SignRequest {
  /** The name that the signature is for. */
  readonly name: string;
  readonly key: SigningKey;
  readonly annotations: Readonly<Record<string, string>>;
  /** Signs the manifests of an index, too. */
  readonly isRecursive: boolean;
  /** Digest that the image must have. */
  readonly digest?: string;
}

export interface SignResult {
  readonly digest: string;
  readonly name: string;
  /** Fingerprint of the public key. */
  readonly key: string;
  /** Digests that have a signature now, with what was new. */
  readonly signed: readonly { readonly digest: string; readonly added: readonly ("simple" | "bundle")[] }[];
}

/**
 * Signs an image in both forms: the older one, which cosign 2, skopeo, podman and CRI-O read, and the bundle of cosign 3.
 * What has the same signature by the same key already gets no second one.
 * @throws DecoderError NOT_FOUND, REGISTRY, UNAUTHORIZED, IO, BAD_IMAGE, LIMIT
 */
export async function signImage(store: SignatureStore, request: SignRequest): Promise<SignResult> {
  const image = await store.image();
  if (request.digest !== undefined && image.digest !== request.digest) {
    throw new DecoderError(
      "DIGEST_MISMATCH",
      `${request.name} is ${image.digest} now, not ${request.digest}`,
      {
        hint: "the image was replaced in the meantime and was not signed",
      },
    );
  }
  const all = [image, ...(request.isRecursive ? await childrenOf(image, store) : [])];
  const signed = [];
  for (const descriptor of all) {
    if (!descriptor.digest.startsWith("sha256:")) {
      throw new DecoderError("BAD_IMAGE", `signatures are for sha256 digests, not for ${descriptor.digest}`);
    }
    const signable = { descriptor, name: request.name, annotations: request.annotations };
    const added = [
      ...(await addSimple(store, signable, request.key)),
      ...(await addBundle(store, signable, request.key)),
    ];
    signed.push({ digest: descriptor.digest, added });
  }
  return { digest: image.digest, name: request.name, key: request.key.publicKey.fingerprint, signed };
}

async function childrenOf(image: Descriptor, store: SignatureStore): Promise<Descriptor[]> {
  const manifests = parseJsonObject(await store.manifest(image))?.["manifests"] ?? [];
  return descriptors(manifests, `the index ${image.digest}`).map(({ mediaType, digest, size }) => ({
    mediaType,
    digest,
    size,
  }));
}

async function addSimple(store: SignatureStore, image: Signable, key: SigningKey): Promise<["simple"] | []> {
  const tag = `${tagOf(image)}.sig`;
  const before = await store.tagged(tag);
  const layers =
    before === undefined ? [] : descriptors(parseJsonObject(before)?.["layers"], `the tag ${tag}`);
  const added = signSimple(image, key);
  for (const layer of layers) if (await isSame(layer, added, key)) return [];
  if (layers.length >= LIMITS.signatures)
    throw new DecoderError(
      "LIMIT",
      `${image.descriptor.digest} has ${layers.length} signatures, which is the most`,
    );
  const { blobs, manifest } = simpleArtifact(layers, [added]);
  await store.put({ blobs, manifests: [], manifest }, tag);
  return ["simple"];
}

/** The digest of an index entry and tag name are the same text; a colon is not allowed in a tag. */
function tagOf({ descriptor }: Signable): string {
  return descriptor.digest.replace(":", "-");
}

/** Whether a layer is the signature that would be added: of ECDSA's signatures no two are the same. */
async function isSame(
  layer: Descriptor,
  { descriptor, bytes }: Content,
  { publicKey }: SigningKey,
): Promise<boolean> {
  const signature = decodeBase64(layer.annotations?.[SIGNATURE_ANNOTATION] ?? "");
  if (layer.digest !== descriptor.digest || signature === null) return false;
  return await verifyWith(publicKey, bytesMessage(bytes), signature, "plain");
}

async function addBundle(store: SignatureStore, image: Signable, key: SigningKey): Promise<["bundle"] | []> {
  const tag = tagOf(image);
  const index = parseJsonObject((await store.tagged(tag)) ?? new Uint8Array());
  const listed = index === null ? [] : descriptors(index["manifests"], `the tag ${tag}`);
  const known = [...listed, ...(await store.referrers(image.descriptor.digest))];
  const artifact = bundleArtifact(image, key);
  for (const it of known) if (await isSameBundle(it, artifact, store, key)) return [];
  if (known.length >= LIMITS.referrers)
    throw new DecoderError(
      "LIMIT",
      `${image.descriptor.digest} has ${known.length} referrers, which is the most`,
    );
  const { blobs, manifest } = artifact;
  if (await store.putReferrer({ blobs, manifests: [], manifest })) return ["bundle"];
  const entries = [...listed, manifest.descriptor];
  await store.put({ blobs, manifests: [manifest], manifest: indexContent(index, entries) }, tag);
  return ["bundle"];
}

async function isSameBundle(
  referrer: Descriptor,
  { blobs: [wanted] }: Artifact,
  store: SignatureStore,
  key: SigningKey,
): Promise<boolean> {
  try {
    const manifest = parseJsonObject(await store.manifest(referrer));
    const [layer] = descriptors(manifest?.["layers"], referrer.digest);
    if (wanted === undefined || layer?.mediaType !== BUNDLE) return false;
    const { readBundle } = await import("../check/bundle.ts");
    const theirs = readBundle(await store.blob(layer, LIMITS.signatureBytes));
    const ours = readBundle(wanted.bytes);
    if (theirs.content.kind !== "envelope" || ours.content.kind !== "envelope") return false;
    const signed = preAuthentication(ours.content);
    if (Buffer.compare(preAuthentication(theirs.content), signed) !== 0) return false;
    return await verifyWith(key.publicKey, bytesMessage(signed), theirs.signature, "bundle");
  } catch (error) {
    // Somebody else's artifact, or a damaged one: it is left alone.
    if (error instanceof DecoderError) return false;
    throw error;
  }
}

/** @throws DecoderError BAD_IMAGE for a list that can't be extended without losing something */
function descriptors(value: unknown, name: string): Descriptor[] {
  const isList =
    Array.isArray(value) && value.every((it) => isObject(it) && typeof it["digest"] === "string");
  if (isList) return value;
  throw new DecoderError("BAD_IMAGE", `${name} is not what signatures can be added to`);
}
