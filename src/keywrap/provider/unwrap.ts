import { LIMITS } from "../../limits.ts";
import { Secret } from "../../secret.ts";
import type { Opened, UnwrapContext } from "../scheme.ts";
import { callProvider } from "./call.ts";
import { findProvider } from "./configuration.ts";
import { inWords, providerError } from "./failure.ts";
import { UNWRAP, unwrapRequest } from "./messages.ts";
import { ownParameters } from "./parameters.ts";

/** Hands a packet to the key provider that its annotation names; see {@link UnwrapScheme}. */
export async function unwrap(
  packet: Uint8Array<ArrayBuffer>,
  context: UnwrapContext,
): Promise<Opened | null> {
  const { keys, settings, providerName } = context;
  const key = `key provider "${inWords(providerName)}"`;
  const provider = findProvider(providerName, settings.environment);
  if (provider.kind === "none") {
    context.record({ key, outcome: provider.reason });
    return null;
  }
  context.spend();
  const parameters = settings.providerLegacyDc
    ? keys.parameters
    : ownParameters(providerName, keys.parameters);
  const request = unwrapRequest(packet, parameters);
  const options = await callProvider(provider, UNWRAP, request, settings);
  if (options.length > LIMITS.privateOptionsBytes) {
    options.fill(0);
    throw providerError(providerName, `gave layer options of more than ${LIMITS.privateOptionsBytes} bytes`);
  }
  return { options: new Secret(options), key };
}
