import { createPrivateKey, type KeyObject } from "node:crypto";
import type { Bytes } from "../../encoding/bytes.ts";
import type { RsaKey } from "../../keys/keyset.ts";
import type { Opened, UnwrapContext } from "../scheme.ts";
import { candidates } from "./candidates.ts";
import { readContent } from "./content.ts";
import { readEnvelope } from "./envelope.ts";
import { decryptContentKey } from "./key-transport.ts";
import { recipientText } from "./recipient.ts";

/** Opens a CMS packet with the available RSA keys and certificates. See {@link UnwrapScheme.unwrap}. */
export async function unwrap(packet: Bytes, context: UnwrapContext): Promise<Opened | null> {
  const envelope = readEnvelope(packet);
  const content = readContent(envelope.content);
  const keyObjects = new Map<RsaKey, KeyObject | null>();
  const pairs = candidates(envelope.recipients, context.keys, (recipient, outcome) =>
    context.record({ recipient: recipientText(recipient), outcome }),
  );
  for (const { recipient, keyTransport, key } of pairs) {
    const name = recipientText(recipient);
    if (!keyObjects.has(key)) keyObjects.set(key, keyObjectOf(key));
    const keyObject = keyObjects.get(key);
    if (!keyObject) {
      context.record({ recipient: name, key, outcome: "the key is damaged" });
      continue;
    }
    context.spend();
    const { method, encryptedKey } = keyTransport;
    const contentKey = decryptContentKey(keyObject, method, encryptedKey, content.keyLength);
    const options = content.open(contentKey);
    contentKey.fill(0);
    if (options !== null) return { options, recipient: name, key };
    context.record({ recipient: name, key, outcome: NOT_OPENED });
  }
  return null;
}

/** One outcome for everything that fails from the private-key operation on. More detail would be an oracle. */
const NOT_OPENED = "the key does not fit, or the packet was changed";

function keyObjectOf({ pkcs8 }: RsaKey): KeyObject | null {
  const { buffer, byteOffset, byteLength } = pkcs8.bytes;
  try {
    return createPrivateKey({
      key: Buffer.from(buffer, byteOffset, byteLength),
      format: "der",
      type: "pkcs8",
    });
  } catch {
    return null;
  }
}
