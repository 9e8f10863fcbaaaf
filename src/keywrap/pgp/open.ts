import { Secret } from "../../secret.ts";
import type { Opened, UnwrapContext } from "../scheme.ts";
import { openContent } from "./content.ts";
import { type Keychain, keychainOf } from "./keychain.ts";
import type { EncryptedData, EncryptedMessage } from "./message.ts";
import type { SecretKey } from "./secret-key.ts";
import { openSessionKey } from "./session-key.ts";
import { describeRecipient, type SessionKeyPacket } from "./session-key-packet.ts";

interface Candidate {
  readonly recipient: SessionKeyPacket;
  readonly key: SecretKey;
}

/** Tries the keys that the message names. Those without a passphrase come first, because deriving a key costs most. */
export async function openMessage(message: EncryptedMessage, context: UnwrapContext): Promise<Opened | null> {
  const keychain = await keychainOf(context.keys.keyrings);
  const opened =
    (await tryKeys(message, keychain, context, false)) ?? (await tryKeys(message, keychain, context, true));
  if (opened !== null) return opened;
  for (const recipient of message.recipients) {
    if (keychain.keysFor(recipient).length > 0) continue;
    context.record({
      recipient: describeRecipient(recipient),
      outcome: "no OpenPGP key here is that recipient's",
    });
  }
  for (const attempt of keychain.unusable) context.record(attempt);
  return null;
}

async function tryKeys(
  { recipients, data }: EncryptedMessage,
  keychain: Keychain,
  context: UnwrapContext,
  isProtected: boolean,
): Promise<Opened | null> {
  for (const recipient of recipients) {
    for (const key of keychain.keysFor(recipient)) {
      if (key.isProtected !== isProtected) continue;
      const opened = await tryKey({ recipient, key }, data, context);
      if (opened !== null) return opened;
    }
  }
  return null;
}

async function tryKey(
  candidate: Candidate,
  data: EncryptedData,
  context: UnwrapContext,
): Promise<Opened | null> {
  const refusal = await candidate.key.unlock(context);
  if (refusal !== undefined) {
    const { reason, isLocked } = refusal;
    context.record({ ...names(candidate), outcome: reason, ...(isLocked && { isLocked }) });
    return null;
  }
  context.spend();
  const sessionKey = await openSessionKey(candidate.recipient, candidate.key, data.cipher);
  const content = await openContent(data, sessionKey);
  sessionKey.key.fill(0);
  if (content === null) {
    context.record({ ...names(candidate), outcome: "the key does not fit, or the message is damaged" });
    return null;
  }
  const options = new Secret(new Uint8Array(content));
  content.fill(0);
  return { options, ...names(candidate) };
}

function names({ recipient, key }: Candidate): { readonly recipient: string; readonly key: string } {
  return { recipient: describeRecipient(recipient), key: key.label };
}
