import { createMessage, encrypt, generateSessionKey, type PublicKey } from "../../openpgp/openpgp.ts";
import type { Wrapper, WrapSettings } from "../scheme.ts";
import { readRecipientKey } from "./recipient-key.ts";

/** Wraps for OpenPGP keys, all in one message; see {@link WrapScheme}. */
export async function prepare(
  recipients: readonly string[],
  settings: WrapSettings,
): Promise<readonly Wrapper[]> {
  const keys = await Promise.all(recipients.map((recipient) => readRecipientKey(recipient, settings)));
  const distinct = [...new Map(keys.map((key) => [key.getFingerprint(), key])).values()];
  return [
    {
      annotation: "pgp",
      async wrap(options, present) {
        const missing = distinct.filter((key) => !idsOf(key).some((id) => present?.has(id)));
        return missing.length === 0 ? null : await wrapFor(missing, settings.isAnonymous ?? false, options);
      },
    },
  ];
}

/** The ids of a key and its subkeys, as packets name them. */
function idsOf(key: PublicKey): string[] {
  return key.getKeys().flatMap((it) => [`0x${it.getKeyID().toHex()}`, `0x${it.getFingerprint()}`]);
}

/**
 * Writes an uncompressed literal packet in integrity-protected data of version 1, which Go's decoder and every gpg read. Many keys
 * announce version 2, although some programs that use them can't read it. Only version 6 keys get version 2.
 */
async function wrapFor(
  keys: readonly PublicKey[],
  isAnonymous: boolean,
  options: Uint8Array,
): Promise<Uint8Array> {
  const encryptionKeys = [...keys];
  const { aeadAlgorithm, ...sessionKey } = await generateSessionKey({ encryptionKeys });
  const asVersion2 = aeadAlgorithm !== undefined && keys.some((key) => key.keyPacket.version === 6);
  const message = await createMessage({ binary: options });
  const packet = await encrypt({
    message,
    encryptionKeys,
    sessionKey: asVersion2 ? { ...sessionKey, aeadAlgorithm } : sessionKey,
    // RFC 9580 §5.1.8: key IDs of zero.
    wildcard: isAnonymous,
    format: "binary",
  });
  sessionKey.data.fill(0);
  return packet;
}
