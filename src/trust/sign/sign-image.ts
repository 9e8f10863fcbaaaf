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

type SignatureForm = "simple" | "bundle";

/** A signature that has been made, and not stored. */
interface NewSignature {
  readonly form: SignatureForm;
  put(): Promise<void>;
}

export interface SignResult {
  readonly digest: string;
  readonly name: string;
  /** Fingerprint of the public key. */
  readonly key: string;
  /** Digests that have a signature now, with what was new. */
  readonly signed: readonly { readonly digest: string; readonly added: readonly SignatureForm[] }[];
}

/** containers/image reads this field of a payload as a number, and refuses a text. Annotations are texts. */
const NUMBER_FIELD = "timestamp";

/**
 * Signs an image in both forms: the older one, which cosign 2, skopeo, podman and CRI-O read, and the bundle of cosign 3.
 * What has the same signature by the same key already gets no second one.
 * Nothing is stored unless every signature can be.
 * @throws DecoderError USAGE, NOT_FOUND, REGISTRY, UNAUTHORIZED, IO, BAD_IMAGE, LIMIT
 */
export async function signImage(store: SignatureStore, request: SignRequest): Promise<SignResult> {
  if (Object.hasOwn(request.annotations, NUMBER_FIELD)) throw badAnnotation();
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
  const planned = new Map<string, readonly NewSignature[]>();
  for (const descriptor of all) {
    if (!descriptor.digest.startsWith("sha256:")) {
      throw new DecoderError("BAD_IMAGE", `signatures are for sha256 digests, not for ${descriptor.digest}`);
    }
    const signable = { descriptor, name: request.name, annotations: request.annotations };
    const signatures = [
      await newSimple(store, signable, request.key),
      await newBundle(store, signable, request.key),
    ];
    planned.set(
      descriptor.digest,
      signatures.filter((it) => it !== undefined),
    );
  }
  const signed = [];
  for (const [digest, signatures] of planned) {
    for (const signature of signatures) await signature.put();
    signed.push({ digest, added: signatures.map(({ form }) => form) });
  }
  return { digest: image.digest, name: request.name, key: request.key.publicKey.fingerprint, signed };
}

async function childrenOf(image: Descriptor, store: SignatureStore): Promise<Descriptor[]> {
  const manifests = parseJsonObject(await store.manifest(image))?.["manifests"] ?? [];
  const entries = descriptors(manifests, `the index ${image.digest}`);
  if (entries.length > LIMITS.indexEntries) {
    throw new DecoderError(
      "LIMIT",
      `index ${image.digest} has ${entries.length} manifests; it may have at most ${LIMITS.indexEntries}`,
    );
  }
  return entries.map(({ mediaType, digest, size }) => ({ mediaType, digest, size }));
}

function badAnnotation(): DecoderError {
  return new DecoderError("USAGE", `an annotation can't be named "${NUMBER_FIELD}"`, {
    hint: "skopeo, podman and CRI-O would refuse the signature: they expect a number there, and an annotation is text",
  });
}

/** @returns undefined if the key has made the same signature before */
async function newSimple(
  store: SignatureStore,
  image: Signable,
  key: SigningKey,
): Promise<NewSignature | undefined> {
  const tag = `${tagOf(image)}.sig`;
  const before = await store.tagged(tag);
  const layers =
    before === undefined ? [] : descriptors(parseJsonObject(before)?.["layers"], `the tag ${tag}`);
  const added = signSimple(image, key);
  for (const layer of layers.slice(0, LIMITS.signatures))
    if (await isSame(layer, added, key)) return undefined;
  if (layers.length >= LIMITS.signatures)
    throw new DecoderError(
      "LIMIT",
      `${image.descriptor.digest} has ${layers.length} signatures, which is the most`,
    );
  const { blobs, manifest } = simpleArtifact(layers, [added]);
  return { form: "simple", put: () => store.put({ blobs, manifests: [], manifest }, tag) };
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

/** @returns undefined if the key has made the same signature before */
async function newBundle(
  store: SignatureStore,
  image: Signable,
  key: SigningKey,
): Promise<NewSignature | undefined> {
  const tag = tagOf(image);
  const index = parseJsonObject((await store.tagged(tag)) ?? new Uint8Array());
  const listed = index === null ? [] : descriptors(index["manifests"], `the tag ${tag}`);
  // A registry without the referrers API answers with the fallback index.
  const both = [...listed, ...(await store.referrers(image.descriptor.digest))];
  const known = [...new Map(both.map((it) => [it.digest, it])).values()];
  const artifact = bundleArtifact(image, key);
  for (const it of known.slice(0, LIMITS.referrers))
    if (await isSameBundle(it, artifact, store, key)) return undefined;
  if (known.length >= LIMITS.referrers)
    throw new DecoderError(
      "LIMIT",
      `${image.descriptor.digest} has ${known.length} referrers, which is the most`,
    );
  const { blobs, manifest } = artifact;
  const put = async () => {
    if (await store.putReferrer({ blobs, manifests: [], manifest })) return;
    const entries = [...listed, manifest.descriptor];
    await store.put({ blobs, manifests: [manifest], manifest: indexContent(index, entries) }, tag);
  };
  return { form: "bundle", put };
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
