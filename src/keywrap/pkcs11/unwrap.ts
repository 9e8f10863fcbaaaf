import { DecoderError } from "../../errors.ts";
import { decodeBase64 } from "../../io/base64.ts";
import type { KeySet } from "../../keys/keyset.ts";
import { Secret } from "../../secret.ts";
import type { Opened, UnwrapContext } from "../scheme.ts";
import { describeRecipient, type Pkcs11Recipient, parseMessage } from "./message.ts";
import { TimeBudget, TokenModule } from "./module-client.ts";
import { loadPolicies } from "./module-policy.ts";
import { type OpenKey, openKey, prepareKey, type TokenKey } from "./token-key.ts";

/** What a layer's packets have in common: neither a module that crashed nor a wrong PIN is tried again for the next. */
interface LayerTokens {
  readonly keys: readonly TokenKey[];
  /** Why a key file can't be used, by its origin. */
  readonly refusals: Map<string, string>;
  readonly refusedPins: Set<string>;
  readonly time: TimeBudget;
}

const LAYERS = new WeakMap<KeySet, LayerTokens>();

/** Refused key files that one message names. */
const REFUSALS_SHOWN = 8;

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
  if (recipients.length === 0) return null;
  if (context.keys.pkcs11.length === 0) {
    const [first] = recipients;
    context.record({
      ...(first && { recipient: describeRecipient(first) }),
      outcome: "there is no PKCS#11 key file",
    });
    return null;
  }
  const layer = layerTokens(context);
  let opens = 0;
  for (const keys of byModule(layer)) {
    const { opened, keysOpened } = await askModule(keys, recipients, layer, context);
    if (opened !== null) return opened;
    opens += keysOpened;
  }
  reportRefusals(layer, context, opens > 0);
  return null;
}

function usableRecipients(packet: Uint8Array<ArrayBuffer>, context: UnwrapContext): Pkcs11Recipient[] {
  const usable: Pkcs11Recipient[] = [];
  for (const recipient of parseMessage(packet)) {
    if ("blob" in recipient) usable.push(recipient);
    else context.record({ outcome: recipient.reason });
  }
  return usable;
}

function layerTokens({ keys, settings }: UnwrapContext): LayerTokens {
  const known = LAYERS.get(keys);
  if (known !== undefined) return known;
  const policies = loadPolicies(settings.environment, keys.parameters);
  const refusals = new Map<string, string>();
  const prepared: TokenKey[] = [];
  for (const { yaml, origin } of keys.pkcs11) {
    try {
      prepared.push(prepareKey(yaml.bytes, origin, policies));
    } catch (error) {
      refusals.set(origin, reasonOf(error));
    }
  }
  const layer = {
    keys: prepared,
    refusals,
    refusedPins: new Set<string>(),
    time: new TimeBudget(settings.providerTimeoutMs),
  };
  LAYERS.set(keys, layer);
  return layer;
}

/** The keys that are still worth a try, those of one module in one environment together. */
function byModule({ keys, refusals }: LayerTokens): Iterable<readonly [TokenKey, ...TokenKey[]]> {
  const groups = new Map<string, [TokenKey, ...TokenKey[]]>();
  for (const key of keys) {
    if (refusals.has(key.origin)) continue;
    const name = JSON.stringify([key.module, Object.entries(key.environment).sort()]);
    const group = groups.get(name);
    if (group === undefined) groups.set(name, [key]);
    else group.push(key);
  }
  return groups.values();
}

interface ModuleResult {
  readonly opened: Opened | null;
  /** Keys that were found on a token. */
  readonly keysOpened: number;
}

async function askModule(
  keys: readonly [TokenKey, ...TokenKey[]],
  recipients: readonly Pkcs11Recipient[],
  layer: LayerTokens,
  context: UnwrapContext,
): Promise<ModuleResult> {
  const [{ module: path, environment }] = keys;
  const counts = { keysOpened: 0 };
  async function work(module: TokenModule): Promise<Opened | null> {
    for (const key of keys) {
      try {
        const open = await openKey(module, key, "private", layer.refusedPins);
        counts.keysOpened++;
        const opened = await tryRecipients(module, open, recipients, context);
        if (opened !== null) return opened;
      } catch (error) {
        layer.refusals.set(key.origin, reasonOf(error));
      }
    }
    return null;
  }
  try {
    return {
      opened: await TokenModule.use(path, environment, context.settings, layer.time, work),
      ...counts,
    };
  } catch (error) {
    const reason = reasonOf(error);
    for (const { origin } of keys) layer.refusals.set(origin, reason);
    return { opened: null, ...counts };
  }
}

async function tryRecipients(
  module: TokenModule,
  key: OpenKey,
  recipients: readonly Pkcs11Recipient[],
  context: UnwrapContext,
): Promise<Opened | null> {
  const size = modulusBytes(key);
  const fitting = recipients.filter(({ blob }) => size === undefined || blob.length === size);
  if (fitting.length === 0)
    context.record({ key: key.name, outcome: `no recipient has a key of its ${(size ?? 0) * 8} bits` });
  for (const recipient of fitting) {
    context.spend();
    const result = await decrypt(module, key, recipient);
    if (result instanceof Secret)
      return { options: result, recipient: describeRecipient(recipient), key: key.name };
    context.record({ recipient: describeRecipient(recipient), key: key.name, outcome: result });
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
  return modulus === undefined ? undefined : (decodeBase64(modulus)?.length ?? undefined);
}

/** As attempts beside those of other keys; when no key could be asked at all, that is the error. */
function reportRefusals({ refusals }: LayerTokens, context: UnwrapContext, others: boolean): void {
  if (others) {
    for (const [key, outcome] of refusals) context.record({ key, outcome });
    return;
  }
  const shown = [...refusals].slice(0, REFUSALS_SHOWN).map(([origin, reason]) => `${origin}: ${reason}`);
  const more = refusals.size > shown.length ? `; and ${refusals.size - shown.length} more` : "";
  throw new DecoderError("PKCS11", `no key on a PKCS#11 token could be used: ${shown.join("; ")}${more}`);
}

/** What concerns one key file only; running out of budget concerns them all. */
function reasonOf(error: unknown): string {
  if (!(error instanceof DecoderError) || error.code === "LIMIT") throw error;
  return error.message;
}
