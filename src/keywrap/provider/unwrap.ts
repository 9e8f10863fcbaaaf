import type { Bytes } from "../../encoding/bytes.ts";
import * as LIMITS from "../../limits.ts";
import { Secret } from "../../secret.ts";
import type { Opened, UnwrapContext } from "../scheme.ts";
import { findProvider, inWords, providerError } from "./configuration.ts";
import { callProvider, ownParameters, UNWRAP, unwrapRequest } from "./protocol.ts";

/** Hands a packet to the key provider that its annotation names; see {@link UnwrapScheme}. */
export async function unwrap(packet: Bytes, context: UnwrapContext): Promise<Opened | null> {
  const { keys, settings, name } = context;
  const key = `key provider "${inWords(name)}"`;
  const provider = findProvider(name, settings.environment);
  if (provider.kind === "none") {
    context.record({ key, outcome: provider.reason, hint: provider.hint });
    return null;
  }
  context.spend();
  const parameters = settings.providerLegacyDc ? keys.parameters : ownParameters(name, keys.parameters);
  const request = unwrapRequest(packet, parameters);
  const options = await callProvider(provider, UNWRAP, request, settings);
  if (options.length > LIMITS.privateOptionsBytes) {
    options.fill(0);
    throw providerError(name, `gave layer options of more than ${LIMITS.privateOptionsBytes} bytes`);
  }
  return { options: new Secret(options), key };
}
