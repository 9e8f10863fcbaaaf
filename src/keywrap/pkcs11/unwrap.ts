import { decodeBase64 } from "../../encoding/base64.ts";
import { Secret } from "../../secret.ts";
import type { Opened, UnwrapContext } from "../scheme.ts";
import { TokenKeyring } from "./keyring.ts";
import { describeRecipient, type Pkcs11Recipient, parseMessage } from "./message.ts";
import { TokenModule } from "./module-client.ts";
import { type OpenKey, openKey, type TokenKey } from "./token-key.ts";

/** What C_Decrypt says of the token or the mechanism, and not of what it was given. */
const TOKEN_FAILURES: ReadonlySet<string> = new Set([
  "CKR_DEVICE_ERROR",
  "CKR_DEVICE_MEMORY",
  "CKR_DEVICE_REMOVED",
  "CKR_FUNCTION_NOT_SUPPORTED",
  "CKR_HOST_MEMORY",
  "CKR_KEY_FUNCTION_NOT_PERMITTED",
  "CKR_MECHANISM_INVALID",
  "CKR_MECHANISM_PARAM_INVALID",
  "CKR_PIN_EXPIRED",
  "CKR_SESSION_CLOSED",
  "CKR_SESSION_HANDLE_INVALID",
  "CKR_TOKEN_NOT_PRESENT",
  "CKR_USER_NOT_LOGGED_IN",
]);

/** Opens a PKCS#11 message with the keys on tokens; see {@link UnwrapScheme}. */
export async function unwrap(
  packet: Uint8Array<ArrayBuffer>,
  context: UnwrapContext,
): Promise<Opened | null> {
  const recipients = usableRecipients(packet, context);
  const [first] = recipients;
  if (first === undefined) return null;
  if (context.keys.pkcs11.length === 0) {
    context.record({ recipient: describeRecipient(first), outcome: "there is no PKCS#11 key file" });
    return null;
  }
  const keyring = TokenKeyring.of(context);
  return await keyring.exclusively(async () => {
    for (const keys of keyring.byModule()) {
      const opened = await askModule(keys, recipients, keyring, context);
      if (opened !== null) return opened;
    }
    keyring.reportRefusals(context);
    return null;
  });
}

function usableRecipients(packet: Uint8Array<ArrayBuffer>, context: UnwrapContext): Pkcs11Recipient[] {
  const usable: Pkcs11Recipient[] = [];
  for (const recipient of parseMessage(packet)) {
    if ("blob" in recipient) usable.push(recipient);
    else context.record({ outcome: recipient.reason });
  }
  return usable;
}

type KeysOfModule = readonly [TokenKey, ...TokenKey[]];

async function askModule(
  keys: KeysOfModule,
  recipients: readonly Pkcs11Recipient[],
  keyring: TokenKeyring,
  context: UnwrapContext,
): Promise<Opened | null> {
  const [{ module: path, environment }] = keys;
  try {
    const opened = await TokenModule.use(path, environment, context.settings, keyring.time, (module) =>
      tryKeys(module, keys, recipients, keyring, context),
    );
    if (opened !== null) keyring.time.restart();
    return opened;
  } catch (error) {
    keyring.refuse(keys, error);
    return null;
  }
}

async function tryKeys(
  module: TokenModule,
  keys: KeysOfModule,
  recipients: readonly Pkcs11Recipient[],
  keyring: TokenKeyring,
  context: UnwrapContext,
): Promise<Opened | null> {
  /** By slot and handle: the key file that named it first. */
  const tried = new Map<string, string>();
  for (const key of keys) {
    try {
      const open = await openKey(module, key, "private", keyring.refusedPins);
      const identity = `${open.slotId} ${open.handle}`;
      const before = tried.get(identity);
      tried.set(identity, before ?? key.origin);
      if (before !== undefined) {
        context.record({ key: open.name, outcome: `the same key as ${before}` });
        continue;
      }
      const opened = await tryRecipients(module, open, recipients, context);
      if (opened !== null) return opened;
    } catch (error) {
      keyring.refuse([key], error);
    }
  }
  return null;
}

async function tryRecipients(
  module: TokenModule,
  key: OpenKey,
  recipients: readonly Pkcs11Recipient[],
  context: UnwrapContext,
): Promise<Opened | null> {
  const size = modulusBytes(key);
  const fitting = recipients.filter(({ blob }) => size === undefined || blob.length === size);
  if (fitting.length === 0) {
    context.record({ key: key.name, outcome: `no recipient has a key of its ${(size ?? 0) * 8} bits` });
  }
  for (const recipient of fitting) {
    context.spend();
    const result = await decrypt(module, key, recipient);
    const names = { recipient: describeRecipient(recipient), key: key.name };
    if (result instanceof Secret) return { options: result, ...names };
    context.record({ ...names, outcome: result });
  }
  return null;
}

/** The plaintext, or why there is none. */
async function decrypt(
  module: TokenModule,
  { slotId, handle }: OpenKey,
  { hash, blob }: Pkcs11Recipient,
): Promise<Secret | string> {
  const refusal = await module.startDecryption(slotId, handle, hash);
  if (refusal !== null) return `the token refuses RSA-OAEP with ${hash}: ${refusal.refused}`;
  const result = await module.decrypt(slotId, blob);
  if (!("refused" in result)) return new Secret(result);
  // RFC 8017 §7.1.2: the ways in which decryption fails must not be told apart.
  return TOKEN_FAILURES.has(result.refused) ? `the token failed: ${result.refused}` : "the key does not fit";
}

/** PKCS#11 writes a modulus without leading zeros. */
function modulusBytes({ modulus }: OpenKey): number | undefined {
  return modulus === undefined ? undefined : decodeBase64(modulus)?.length;
}
