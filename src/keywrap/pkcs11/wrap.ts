import { constants, type KeyObject, publicEncrypt } from "node:crypto";
import { DecoderError } from "../../errors.ts";
import { badRecipient } from "../../keys/recipient.ts";
import type { OaepHash } from "../../keys/token/module-protocol.ts";
import type { Wrapper, WrapSettings } from "../scheme.ts";
import { encodeMessage } from "./message.ts";
import { readRecipientKey } from "./recipient-key.ts";

const VARIABLE = "OCICRYPT_OAEP_HASHALG";
/** ocicrypt's default. SoftHSM 2.6 and RSA-2048 keys need sha1. */
const DEFAULT_HASH = "sha256";
const HASH_BYTES: Readonly<Record<OaepHash, number>> = { sha1: 20, sha256: 32 };

/** Private options as all tools write them: symkey, digest and nonce. */
const OPTIONS_BYTES = 193;

interface Recipient {
  readonly file: string;
  readonly key: KeyObject;
}

/** Wraps for keys on tokens and RSA public keys in files, all in one packet; see {@link WrapScheme}. */
export async function prepare(files: readonly string[], settings: WrapSettings): Promise<readonly Wrapper[]> {
  const hash = hashOf(settings.environment[VARIABLE]);
  const recipients: Recipient[] = [];
  for (const file of files) {
    const key = await readRecipientKey({ scheme: "pkcs11", file }, hash, settings);
    requireRoom({ file, key }, hash, OPTIONS_BYTES);
    if (!recipients.some((other) => other.key.equals(key))) recipients.push({ file, key });
  }
  return [{ annotation: "pkcs11", wrap: async (options) => wrapFor(recipients, hash, options) }];
}

function hashOf(name: string | undefined): OaepHash {
  const hash = (name || DEFAULT_HASH).toLowerCase();
  if (hash === "sha1" || hash === "sha256") return hash;
  throw new DecoderError("CONFIG", `${VARIABLE} is neither sha1 nor sha256`);
}

function wrapFor(recipients: readonly Recipient[], hash: OaepHash, options: Uint8Array): Uint8Array {
  const padding = constants.RSA_PKCS1_OAEP_PADDING;
  return encodeMessage(
    recipients.map((recipient) => {
      requireRoom(recipient, hash, options.length);
      const blob = publicEncrypt({ key: recipient.key, padding, oaepHash: hash }, options);
      return { hash, blob: new Uint8Array(blob) };
    }),
  );
}

/** RFC 8017 §7.1.1: a message is at least two hashes and two bytes shorter than the modulus. */
function requireRoom({ file, key }: Recipient, hash: OaepHash, length: number): void {
  const bits = key.asymmetricKeyDetails?.modulusLength ?? 0;
  const room = Math.ceil(bits / 8) - 2 * HASH_BYTES[hash] - 2;
  if (length <= room) return;
  throw badRecipient(
    { scheme: "pkcs11", file },
    `has an RSA key of ${bits} bits, which with ${hash} has room for ${room} bytes; ${length} are needed`,
    `use a key of 3072 bits or more, or ${VARIABLE}=sha1`,
  );
}
