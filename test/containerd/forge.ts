import {
  constants,
  createCipheriv,
  createDecipheriv,
  createHmac,
  type KeyObject,
  privateDecrypt,
} from "node:crypto";
import { KEYS_PREFIX, PUBLIC_OPTIONS } from "../../src/spec/annotations.ts";
import type { Descriptor } from "../../src/spec/descriptor.ts";
import { writeBlob } from "../support/images.ts";

const JWE = `${KEYS_PREFIX}jwe`;

/** RFC 7516's JSON serialization as skopeo writes it: general, or flattened for one recipient. */
interface Packet {
  readonly protected: string;
  readonly iv: string;
  readonly ciphertext: string;
  readonly tag: string;
  readonly encrypted_key?: string;
  readonly recipients?: readonly { readonly encrypted_key: string }[];
}

/** A layer's descriptor whose packet has but one of its recipients. */
export function forRecipient(layer: Descriptor, index: number): Descriptor {
  const { encrypted_key: _, ...rest } = packetOf(layer);
  const recipient = rest.recipients?.[index];
  if (!recipient) throw new Error(`no recipient ${index}`);
  const packet = Buffer.from(JSON.stringify({ ...rest, recipients: [recipient] })).toString("base64");
  return { ...layer, annotations: { ...layer.annotations, [JWE]: packet } };
}

/**
 * Encrypts a plain layer with the key and nonce of another, which `key` (RSA) opens, and writes it to the layout. That
 * breaks the cipher; it makes layers whose ciphertexts are equal where their plaintexts are.
 */
export function encryptAs(
  layout: string,
  other: Descriptor,
  key: KeyObject,
  plaintext: Uint8Array,
): Descriptor {
  const { symkey, nonce } = openPacket(packetOf(other), key);
  const ciphertext = createCipheriv("aes-256-ctr", symkey, nonce).update(plaintext);
  const publicOptions = JSON.parse(
    Buffer.from(other.annotations?.[PUBLIC_OPTIONS] ?? "", "base64").toString(),
  );
  publicOptions.hmac = createHmac("sha256", symkey).update(ciphertext).digest("base64");
  const annotation = Buffer.from(JSON.stringify(publicOptions)).toString("base64");
  return {
    ...writeBlob(layout, other.mediaType, ciphertext),
    annotations: { ...other.annotations, [PUBLIC_OPTIONS]: annotation },
  };
}

function packetOf(layer: Descriptor): Packet {
  return JSON.parse(Buffer.from(layer.annotations?.[JWE] ?? "", "base64").toString());
}

/** Opens a packet for one RSA-OAEP recipient, its content encrypted by A256GCM. */
function openPacket(packet: Packet, key: KeyObject): { symkey: Buffer; nonce: Buffer } {
  const bytes = (text = "") => Buffer.from(text, "base64url");
  const padding = { key, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: "sha1" };
  const contentKey = privateDecrypt(padding, bytes(packet.encrypted_key));
  const decipher = createDecipheriv("aes-256-gcm", contentKey, bytes(packet.iv));
  decipher.setAAD(Buffer.from(packet.protected)).setAuthTag(bytes(packet.tag));
  const json = Buffer.concat([decipher.update(bytes(packet.ciphertext)), decipher.final()]).toString();
  const { symkey, cipheroptions } = JSON.parse(json);
  return { symkey: Buffer.from(symkey, "base64"), nonce: Buffer.from(cipheroptions.nonce, "base64") };
}
