import { PAYLOAD_TYPE } from "../../src/containerd/payload.ts";
import { Random } from "../fuzz/random.ts";
import { sha256 } from "../support/images.ts";
import { flatten } from "../support/jwe.ts";
import { encryptLayer, plainBytes } from "../support/layer.ts";
import { any } from "../support/payload.ts";
import type { Vector } from "./format.ts";
import { b64, type Dice, json, makeJwe, publicKey, wrapEcdh } from "./material.ts";

export const JWE = "org.opencontainers.image.enc.keys.jwe";
export const PKCS7 = "org.opencontainers.image.enc.keys.pkcs7";
export const PGP = "org.opencontainers.image.enc.keys.pgp";
export const PKCS11 = "org.opencontainers.image.enc.keys.pkcs11";
export const PUBOPTS = "org.opencontainers.image.enc.pubopts";
const TAR = "application/vnd.oci.image.layer.v1.tar+encrypted";

export type Json = Record<string, unknown>;
export type Annotations = Readonly<Record<string, string>>;

/** A vector by how it differs from a good one: a JWE for node.pem, a P-256 key, and a layer of 200 bytes. */
export interface Case {
  readonly about: string;
  /** "ok", or the code of the error. */
  readonly expect: string;
  readonly plaintext?: Buffer;
  /** The private options, as JSON or as bytes. */
  readonly privateOptions?: (options: Json) => unknown;
  /** The public options, as JSON or as the annotation's text. */
  readonly publicOptions?: (options: Json) => unknown;
  /** Annotations with wrapped keys, in place of the JWE. */
  readonly wrap?: (options: Buffer, dice: Dice) => Annotations;
  readonly annotations?: (annotations: Annotations) => unknown;
  readonly descriptor?: (descriptor: Json) => unknown;
  /** The payload's JSON, as a value or as bytes. */
  readonly payload?: (payload: Json) => unknown;
  /** The protobuf message around it; null: none is passed. */
  readonly any?: (json: Buffer) => Buffer | null;
  readonly layer?: (ciphertext: Buffer) => Buffer;
  readonly mediaType?: string;
  readonly args?: readonly string[];
  readonly keys?: Readonly<Record<string, string | Buffer>>;
  readonly links?: Readonly<Record<string, string>>;
}

/** A JWE for node.pem, as skopeo writes it. */
export function usualJwe(options: Buffer, dice: Dice): Buffer {
  const recipient = (cek: Buffer) => wrapEcdh(publicKey("p256.pem"), "ECDH-ES+A256KW", cek, dice);
  return flatten(makeJwe({ plaintext: options, recipients: [recipient] }, dice));
}

export function build(name: string, it: Case): Vector {
  const dice = new Random(seedOf(name));
  const plaintext = it.plaintext ?? plainBytes(200);
  const layer = encryptLayer(plaintext, dice.bytes(32), dice.bytes(16));
  const usual = {
    symkey: b64(layer.key),
    digest: sha256(plaintext),
    cipheroptions: { nonce: b64(layer.nonce) },
  };
  const privateOptions = bytesOf(it.privateOptions?.(usual) ?? usual);
  const open = { cipher: "AES_256_CTR_HMAC_SHA256", hmac: b64(layer.hmac), cipheroptions: {} };
  const publicOptions = it.publicOptions?.(open) ?? open;
  const wrapped = it.wrap?.(privateOptions, dice) ?? { [JWE]: b64(usualJwe(privateOptions, dice)) };
  const pubopts = typeof publicOptions === "string" ? publicOptions : b64(json(publicOptions));
  const annotations = { ...wrapped, [PUBOPTS]: pubopts };
  const mediaType = it.mediaType ?? TAR;
  const { ciphertext } = layer;
  const descriptor: Json = {
    mediaType,
    digest: sha256(ciphertext),
    size: ciphertext.length,
    annotations: it.annotations?.(annotations) ?? annotations,
  };
  const payload: Json = {
    DecryptConfig: { Parameters: null },
    Descriptor: it.descriptor?.(descriptor) ?? descriptor,
  };
  const payloadJson = bytesOf(it.payload?.(payload) ?? payload);
  return {
    about: it.about,
    expect: it.expect,
    stdout: sha256(it.expect === "ok" ? plaintext : Buffer.alloc(0)),
    mediaType,
    args: it.args ?? [],
    keys: new Map(Object.entries(it.keys ?? { "node.pem": "p256.pem" })),
    links: new Map(Object.entries(it.links ?? {})),
    payload: it.any ? it.any(payloadJson) : any(PAYLOAD_TYPE, payloadJson),
    layer: it.layer?.(ciphertext) ?? ciphertext,
  };
}

function bytesOf(value: unknown): Buffer {
  return Buffer.isBuffer(value) ? value : json(value);
}

/** From the name: a vector stays the same when others are added. */
export function seedOf(name: string): number {
  return [...name].reduce((hash, letter) => (Math.imul(hash, 31) + letter.charCodeAt(0)) >>> 0, 7);
}
