import { realpathSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { goField, parseJsonObject } from "../encoding/json.ts";
import { DecoderError } from "../errors.ts";
import type { RegistryClient } from "../registry/client.ts";
import { formatName, parseName, type RegistryName, referenceOf } from "../registry/name.ts";
import { openClient, type RegistryAccess } from "../registry/open.ts";
import { parseTagged } from "../transport/file-reference.ts";
import type { ArtifactStore, StoredManifest } from "./find/artifact-store.ts";
import { RegistryStore } from "./find/registry-store.ts";
import type { SignedImage } from "./found.ts";
import { pulledName } from "./policy/image-name.ts";
import type { ImagePlace } from "./policy/policy.ts";

/** An image whose signatures are to be checked, and the place that holds it. */
interface TrustTarget {
  readonly place: ImagePlace;
  /** Reads the manifest or index, whose digest everything is about; once. */
  resolve(): Promise<SignedImage>;
  readonly store: ArtifactStore;
  close(): Promise<void>;
}

const LAYOUT = "oci:";
const REGISTRY = "docker://";

/**
 * @param text `docker://NAME`, `NAME` or `oci:DIR[:TAG]`
 * @throws DecoderError USAGE, NOT_FOUND, BAD_IMAGE, CONFIG
 */
export async function openTarget(
  text: string,
  access: RegistryAccess,
  signal: AbortSignal,
): Promise<TrustTarget> {
  if (text.startsWith(LAYOUT)) return await layoutTarget(text.slice(LAYOUT.length));
  const name = registryName(text);
  return registryTarget(name, openClient(name, access, { access: "pull", signal }));
}

/** How policies address an image. Nothing is opened. @throws DecoderError USAGE */
export function placeOf(text: string): ImagePlace {
  if (text.startsWith(LAYOUT)) {
    return { transport: "oci", path: realPath(parseTagged("oci", text.slice(LAYOUT.length)).path) };
  }
  return { transport: "docker", name: pulledName(registryName(text)) };
}

/** As containers/image resolves a layout's path: a link must not lead out of the scope that it is in. */
function realPath(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    const whole = resolve(path);
    // A layout that does not exist yet has a folder that may.
    return whole === "/" ? whole : join(realPath(dirname(whole)), basename(whole));
  }
}

function registryName(text: string): RegistryName {
  return parseName(text.startsWith(REGISTRY) ? text.slice(REGISTRY.length) : text);
}

function registryTarget(name: RegistryName, client: RegistryClient): TrustTarget {
  const store = new RegistryStore(client);
  const place = { transport: "docker", name: pulledName(name) } as const;
  return {
    place,
    store,
    close: () => client.close(),
    resolve: async () => {
      const document = await store.manifest(referenceOf(name));
      if (document === undefined) throw missing(name);
      checkKind(document);
      return { digest: document.digest, name: place.name };
    },
  };
}

async function layoutTarget(rest: string): Promise<TrustTarget> {
  const reference = parseTagged("oci", rest);
  const path = realPath(reference.path);
  const { openLayout } = await import("../transport/layout.ts");
  const { LayoutStore } = await import("./find/layout-store.ts");
  const source = await openLayout(reference);
  const { digest, mediaType } = source.root;
  return {
    place: { transport: "oci", path },
    store: await LayoutStore.open(path),
    close: () => source.close(),
    resolve: async () => {
      checkKind({ bytes: await source.readManifest(source.root), digest, mediaType });
      return { digest, name: undefined };
    },
  };
}

function missing(name: RegistryName): DecoderError {
  return new DecoderError("NOT_FOUND", `the image ${formatName(name)} does not exist`, {
    hint: "a registry may also answer so if you may not see the image: log in with docker login or skopeo login",
  });
}

/** Two readers that look at different fields would see two images (CVE-2021-41190). */
function checkKind({ bytes, digest, mediaType }: StoredManifest): void {
  const document = parseJsonObject(bytes);
  const stated = goField(document, "mediaType") ?? mediaType;
  const isBoth = goField(document, "layers") != null && goField(document, "manifests") != null;
  const isIndex = /index|manifest\.list/.test(mediaType);
  const foreign = goField(document, isIndex ? "layers" : "manifests");
  if (document !== null && stated === mediaType && !isBoth && foreign == null) return;
  throw new DecoderError("BAD_IMAGE", `${digest} is ambiguous: it looks like a manifest and like an index`);
}
