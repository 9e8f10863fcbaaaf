/** Input of the decoders: encrypted layers with their payloads, and folders of keys. */
import { createCipheriv, createHash, generateKeyPair, type KeyObject } from "node:crypto";
import { closeSync, fsyncSync, mkdirSync, openSync, renameSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { LayerEncryptor } from "../../src/cipher/encrypt.ts";
import { LayerWrapper } from "../../src/keywrap/wrap.ts";
import { sealOptions } from "../../src/layer/seal.ts";
import type { Descriptor } from "../../src/spec/descriptor.ts";
import { payload } from "../../test/support/payload.ts";

export const MEDIA_TYPE = "application/vnd.oci.image.layer.v1.tar+encrypted";
const CHUNK_BYTES = 1024 * 1024;
const SETTINGS = { environment: {}, providerTimeoutMs: 10_000, providerLegacyDc: false, verbose: false };

/** An encrypted layer in files, as containerd passes it. */
export interface LayerFiles {
  /** Path of the ciphertext, named like a blob in containerd's store. */
  readonly path: string;
  /** Path of the payload for file descriptor 3. */
  readonly payload: string;
  readonly bytes: number;
  /** Digest of the plaintext, which the decoder has to write. */
  readonly digest: string;
  readonly descriptor: Descriptor;
}

/** Key pairs on disk. */
export interface Keys {
  /** Folder of the private keys. */
  readonly folder: string;
  /** Paths of the public keys to encrypt for. */
  readonly recipients: readonly string[];
}

/** The bytes of a layer, in pieces. They are the same in every run and do not compress. */
export function* layerBytes(bytes: number, seed = 1): Generator<Buffer> {
  const stream = createCipheriv("aes-128-ctr", Buffer.alloc(16, seed), Buffer.alloc(16));
  const zeros = Buffer.alloc(CHUNK_BYTES);
  for (let done = 0; done < bytes; done += CHUNK_BYTES) {
    yield stream.update(zeros.subarray(0, bytes - done));
  }
}

/** Encrypts a layer of that many bytes into `folder`. */
export async function writeLayer(
  folder: string,
  bytes: number,
  recipients: readonly string[],
): Promise<LayerFiles> {
  const blobs = join(folder, "io.containerd.content.v1.content/blobs/sha256");
  mkdirSync(blobs, { recursive: true });
  const unnamed = join(blobs, "layer");
  const encryptor = new LayerEncryptor();
  const [plain, encrypted] = [createHash("sha256"), createHash("sha256")];
  const fd = openSync(unnamed, "w");
  for (const plaintext of layerBytes(bytes)) {
    plain.update(plaintext);
    const ciphertext = encryptor.update(plaintext);
    encrypted.update(ciphertext);
    writeAll(fd, ciphertext);
  }
  fsyncSync(fd);
  closeSync(fd);

  const wrapper = await LayerWrapper.prepare(
    recipients.map((recipient) => `jwe:${recipient}`),
    SETTINGS,
  );
  const annotations = await sealOptions(encryptor.finish(), wrapper);
  const hex = encrypted.digest("hex");
  const [digest, path] = [`sha256:${hex}`, join(blobs, hex)];
  renameSync(unnamed, path);
  const descriptor = { mediaType: MEDIA_TYPE, digest, size: bytes, annotations };
  const files = { path, payload: join(folder, "payload"), bytes, digest: plain.digest("hex"), descriptor };
  writeFileSync(files.payload, payload(descriptor));
  return files;
}

function writeAll(fd: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done);
}

const generate = promisify(generateKeyPair);

function newKeyPair(kind: "rsa" | "ec"): Promise<{ publicKey: KeyObject; privateKey: KeyObject }> {
  return kind === "rsa"
    ? generate("rsa", { modulusLength: 2048 })
    : generate("ec", { namedCurve: "prime256v1" });
}

/**
 * Writes private keys. Only the last key by name fits, and it fits only the last recipient. A decoder that tries them in
 * order finds the right pair last.
 */
export async function writeKeys(
  folder: string,
  kind: "rsa" | "ec",
  wrong = 0,
  recipients = 1,
): Promise<Keys> {
  const name = (index: number) => `${String(index).padStart(3, "0")}.pem`;
  const keys: Keys = {
    folder: join(folder, "private"),
    recipients: Array.from({ length: recipients }, (_, i) => join(folder, "public", name(i))),
  };
  for (const part of ["private", "public"]) mkdirSync(join(folder, part), { recursive: true });
  for (let i = 0; i < wrong; i++) writePrivate(join(keys.folder, name(i)), await newKeyPair(kind));
  for (const [i, path] of keys.recipients.entries()) {
    const pair = await newKeyPair(kind);
    writeFileSync(path, pair.publicKey.export({ type: "spki", format: "pem" }));
    if (i === recipients - 1) writePrivate(join(keys.folder, name(wrong)), pair);
  }
  return keys;
}

function writePrivate(path: string, { privateKey }: { privateKey: KeyObject }): void {
  writeFileSync(path, privateKey.export({ type: "pkcs8", format: "pem" }), { mode: 0o600 });
}
