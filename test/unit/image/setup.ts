import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { decryptImage } from "../../../src/image/decrypt.ts";
import { type EncryptOptions, encryptImage } from "../../../src/image/encrypt.ts";
import { SILENT } from "../../../src/image/progress.ts";
import { EVERYTHING } from "../../../src/image/select.ts";
import { generateKeys } from "../../../src/keys/generate.ts";
import { loadKeys } from "../../../src/keys/load.ts";
import { addNamedKeys } from "../../../src/keys/named.ts";
import { parsePlace } from "../../../src/oci/reference.ts";
import { diffId, tar } from "../../support/images.ts";
import type { LayerContent } from "../../support/layouts.ts";

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
  recipients: [],
  addRecipients: [],
  replace: false,
  progress: SILENT,
  settings: SETTINGS,
  selection: EVERYTHING,
  compression: "keep",
  compressionLevel: 6,
  build: { entrypoint: [], platform: { os: "linux", architecture: "amd64" } },
  threads: 2,
} as const;

export async function encrypt(source: string, target: string, options: Partial<EncryptOptions>) {
  return await encryptImage({ ...USUAL, source: parsePlace(source), target: parsePlace(target), ...options });
}

export async function decrypt(source: string, target: string, key: KeyFiles, selection = EVERYTHING) {
  const places = { source: parsePlace(source), target: parsePlace(target) };
  return await decryptImage({ ...USUAL, ...places, selection, keys: await keySet(key) });
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
