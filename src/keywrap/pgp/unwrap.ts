import type { Bytes } from "../../encoding/bytes.ts";
import type { Opened, UnwrapContext } from "../scheme.ts";
import { parseMessage } from "./message.ts";
import { describeRecipient } from "./session-key-packet.ts";

/**
 * Opens an OpenPGP message (RFC 9580, and GnuPG's OCB packet) with the available keyrings; see {@link UnwrapScheme}. Without a
 * keyring, openpgp.js is not loaded.
 */
export async function unwrap(packet: Bytes, context: UnwrapContext): Promise<Opened | null> {
  const message = parseMessage(packet);
  if (context.keys.keyrings.length > 0) {
    const { openMessage } = await import("./open.ts");
    return openMessage(message, context);
  }
  for (const recipient of message.recipients) {
    context.record({ recipient: describeRecipient(recipient), outcome: "there is no OpenPGP key here" });
  }
  return null;
}
