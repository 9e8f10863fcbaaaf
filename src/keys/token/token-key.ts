import { encodeBase64 } from "../../encoding/base64.ts";
import { DecoderError } from "../../errors.ts";
import { parseKeyFile, readPin, type TokenKeyFile } from "./key-file.ts";
import type { TokenModule } from "./module.ts";
import { findModule } from "./module-path.ts";
import type { ModulePolicy } from "./module-policy.ts";
import type { KeyReply, KeySelector, Token } from "./module-protocol.ts";
import type { TokenSelector } from "./uri.ts";

/** A key file whose module was found and is allowed. */
export interface TokenKey extends TokenKeyFile {
  readonly origin: string;
  readonly pin: string | undefined;
  /** The module's real path. */
  readonly module: string;
}

/** A key on a token that is logged in to. */
export interface OpenKey extends Pick<KeyReply, "modulus" | "publicExponent"> {
  /** For messages: `node.yaml (token "hsm-1")`. */
  readonly name: string;
  readonly slotId: number;
  readonly handle: string;
}

/** @throws DecoderError BAD_KEY for the file, PKCS11 when its module is absent or not allowed */
export function prepareKey(yaml: Uint8Array, origin: string, policies: readonly ModulePolicy[]): TokenKey {
  const file = parseKeyFile(yaml);
  return { ...file, origin, module: findModule(file.uri, policies), pin: readPin(file.uri) };
}

/**
 * Finds the token, logs in and finds the key. Tokens count wrong PINs and lock themselves. So no PIN is tried twice, and none
 * is tried when one more wrong PIN would lock the token.
 * @param refusedPins PINs that tokens have refused so far
 * @throws DecoderError PKCS11
 */
export async function openKey(
  module: TokenModule,
  key: TokenKey,
  keyClass: KeySelector["class"],
  refusedPins: Set<string>,
): Promise<OpenKey> {
  const token = onlyToken(await module.tokens(), key.uri.token);
  if (key.pin && !module.isLoggedIn(token.slotId)) await login(module, token, key.pin, refusedPins);
  const { object, id } = key.uri;
  const { handles, ...numbers } = await module.findKey(token.slotId, {
    class: keyClass,
    label: object,
    id: id && encodeBase64(id),
  });
  const [handle, another] = handles;
  if (handle === undefined) {
    const reason =
      token.loginRequired && !key.pin ? ", or hides it: the URI has neither pin-value nor pin-source" : "";
    throw problem(token, `has no ${keyClass} RSA key that matches the URI${reason}`);
  }
  if (another !== undefined)
    throw problem(token, `has several ${keyClass} RSA keys that match the URI: add object or id to it`);
  return { name: `${key.origin} (token "${token.label}")`, slotId: token.slotId, handle, ...numbers };
}

/** Requires one match: a PIN that is tried on several tokens would bring all but one closer to being locked. */
function onlyToken(tokens: readonly Token[], wanted: TokenSelector): Token {
  const matching = tokens.filter(
    (token) =>
      matches(wanted.slotId, token.slotId) &&
      matches(wanted.label, token.label) &&
      matches(wanted.serial, token.serial) &&
      matches(wanted.manufacturer, token.manufacturer) &&
      matches(wanted.model, token.model),
  );
  const [token, another] = matching;
  if (token === undefined) {
    const name = wanted.label === undefined ? "no token" : `no token "${wanted.label}"`;
    throw new DecoderError(
      "PKCS11",
      `the module has ${name} that matches the URI, of ${tokens.length} in its slots`,
    );
  }
  if (another !== undefined) {
    throw problem(
      token,
      `is not the only match of the URI: add serial=${token.serial}, or serial=${another.serial} for the other one`,
    );
  }
  return token;
}

function matches<T>(wanted: T | undefined, actual: T): boolean {
  return wanted === undefined || wanted === actual;
}

async function login(
  module: TokenModule,
  token: Token,
  pin: string,
  refusedPins: Set<string>,
): Promise<void> {
  if (token.pinLocked) throw problem(token, "has locked its PIN");
  if (token.pinFinalTry) throw problem(token, "would be locked by one more wrong PIN, so none was tried");
  const attempt = [token.manufacturer, token.model, token.serial, token.label, pin].join("\0");
  if (refusedPins.has(attempt)) throw problem(token, "has refused this PIN before");
  const refusal = await module.login(token.slotId, pin);
  if (refusal === null) return;
  refusedPins.add(attempt);
  throw problem(token, `refused the login: ${refusal.refused}`);
}

function problem(token: Token, what: string): DecoderError {
  return new DecoderError("PKCS11", `the token "${token.label}" ${what}`);
}
