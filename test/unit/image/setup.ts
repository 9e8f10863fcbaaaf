import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { beforeAll } from "vitest";
import { decryptImage } from "../../../src/image/decrypt.ts";
import { type EncryptOptions, encryptImage } from "../../../src/image/encrypt.ts";
import { SILENT } from "../../../src/image/progress.ts";
import { EVERYTHING } from "../../../src/image/select.ts";
import { generateKeys } from "../../../src/keys/generate.ts";
import { loadKeys } from "../../../src/keys/load.ts";
import { addNamedKeys } from "../../../src/keys/named.ts";
import { OCI_MANIFEST } from "../../../src/spec/media-types.ts";
import { parseDestination, parseMaterial, parseSource } from "../../../src/transport/reference.ts";
import { blobPath, diffId, tar, writeBlob } from "../../support/images.ts";
import {
  type LayerContent,
  type ManifestOptions,
  putManifest,
  readDocument,
  rootOf,
  tagRoot,
} from "../../support/layouts.ts";
import { temporaryFolder } from "../../support/temporary.ts";

export interface KeyFiles {
  readonly file: string;
  readonly recipient: string;
}

/** A fresh EC key pair: file of the private key, and the public one as a recipient. */
export async function makeKey(folder: string, name: string): Promise<KeyFiles> {
  const { privateKey, publicKey } = await generateKeys({ type: "ec", curve: "P-256" }, "jwk");
  mkdirSync(folder, { recursive: true });
  const file = join(folder, name);
  writeFileSync(file, privateKey);
  writeFileSync(`${file}.pub`, publicKey);
  return { file, recipient: `jwe:${file}.pub` };
}

export async function keySet(...keys: readonly KeyFiles[]) {
  const none = await loadKeys({ strictKeys: false, allowExternalSymlinks: false });
  return await addNamedKeys(
    keys.map(({ file }) => file),
    none,
  );
}

export const SETTINGS = { environment: {}, providerTimeoutMs: 1000, providerLegacyDc: false, verbose: false };

const USUAL = {
  running: { progress: SILENT, threads: 2 },
  recipients: [],
  addRecipients: [],
  settings: SETTINGS,
  selection: EVERYTHING,
  compression: { kind: "keep", level: 6 },
  build: { entrypoint: [], platform: { os: "linux", architecture: "amd64" } },
} as const;

export async function encrypt(source: string, destination: string, options: Partial<EncryptOptions>) {
  const into = { destination: parseDestination(destination), replace: false };
  return await encryptImage({ ...USUAL, source: parseMaterial(source), into, ...options });
}

export async function decrypt(source: string, destination: string, key: KeyFiles, selection = EVERYTHING) {
  const into = { destination: parseDestination(destination), replace: false };
  return await decryptImage({
    ...USUAL,
    source: parseSource(source),
    into,
    selection,
    keys: await keySet(key),
  });
}

/** Images and keys of one test file. */
export class Workbench {
  readonly folder: string;
  #keys: { readonly a: KeyFiles; readonly b: KeyFiles } | undefined;
  #count = 0;

  /** To be made outside of any test. */
  constructor() {
    this.folder = temporaryFolder();
    beforeAll(async () => {
      const keys = join(this.folder, "keys");
      this.#keys = { a: await makeKey(keys, "a"), b: await makeKey(keys, "b") };
    });
  }

  get a(): KeyFiles {
    return this.#keys?.a ?? never();
  }

  get b(): KeyFiles {
    return this.#keys?.b ?? never();
  }

  /** A path where nothing is yet. */
  fresh(): string {
    return join(this.folder, String(this.#count++));
  }

  /** A new layout with an image of these layers. */
  image(layers: readonly LayerContent[], options: ManifestOptions = {}): string {
    const path = this.fresh();
    tagRoot(path, putManifest(path, layers, options));
    return path;
  }

  /** A new layout with that image encrypted for key a. */
  async encrypted(source: string, options: Partial<EncryptOptions> = {}): Promise<string> {
    const path = this.fresh();
    await encrypt(`oci:${source}`, `oci:${path}:v1`, { recipients: [this.a.recipient], ...options });
    return path;
  }

  async decrypted(source: string, key: KeyFiles = this.a): Promise<string> {
    const path = this.fresh();
    await decrypt(`oci:${source}`, `oci:${path}:v1`, key);
    return path;
  }
}

function never(): never {
  throw new Error("bug: a key was used before the tests began");
}

export const manifest = (path: string) => readDocument(path, rootOf(path));

/** Flips a bit of the first layer, and gives the manifest the digest of the result: only the HMAC can tell. */
export function forge(path: string): void {
  const document = manifest(path);
  const [first, ...others] = document.layers;
  const bytes = readFileSync(blobPath(path, first.digest));
  bytes[20] = (bytes[20] ?? 0) ^ 1;
  const forged = { ...first, ...writeBlob(path, first.mediaType, bytes) };
  const text = JSON.stringify({ ...document, layers: [forged, ...others] });
  tagRoot(path, writeBlob(path, OCI_MANIFEST, Buffer.from(text)));
}

/** A layer with one file in it. */
export async function layer(
  text: string,
  compression: "none" | "gzip" = "gzip",
  extra?: object,
): Promise<LayerContent> {
  const bytes = await tar({ "file.txt": Buffer.from(text) });
  return {
    bytes: compression === "gzip" ? gzipSync(bytes) : bytes,
    compression,
    diffId: diffId(bytes),
    ...(extra && { extra }),
  };
}
