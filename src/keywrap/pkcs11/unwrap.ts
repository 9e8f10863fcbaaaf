import type { Bytes } from "../../encoding/bytes.ts";
import type { Opened, UnwrapContext } from "../scheme.ts";
import { describeRecipient, type Pkcs11Recipient, parseMessage } from "./message.ts";

/** Opens a PKCS#11 message with the keys on tokens; see {@link UnwrapScheme}. */
export async function unwrap(packet: Bytes, context: UnwrapContext): Promise<Opened | null> {
  const recipients = usableRecipients(packet, context);
  const [first] = recipients;
  if (first === undefined) return null;
  if (context.keys.tokenKeys.length === 0) {
    context.record({ recipient: describeRecipient(first), outcome: "there is no PKCS#11 key file" });
    return null;
  }
  const { decryptOnTokens } = await import("../../keys/token/decrypt.ts");
  const ciphertexts = recipients.map((recipient) => ({
    hash: recipient.hash,
    bytes: recipient.blob,
    recipient: describeRecipient(recipient),
  }));
  const opened = await decryptOnTokens(ciphertexts, context);
  if (opened === null) return null;
  return { options: opened.plaintext, recipient: opened.ciphertext.recipient, key: opened.key };
}

function usableRecipients(packet: Bytes, context: UnwrapContext): Pkcs11Recipient[] {
  const usable: Pkcs11Recipient[] = [];
  for (const recipient of parseMessage(packet)) {
    if ("blob" in recipient) usable.push(recipient);
    else context.record({ outcome: recipient.reason });
  }
  return usable;
}
