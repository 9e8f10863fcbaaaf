import { DecoderError } from "../../errors.ts";
import type { Wrapper, WrapSettings } from "../scheme.ts";
import { CATCH_ALL, findProvider, type Provider } from "./configuration.ts";
import { callProvider, isReserved, WRAP, wrapRequest } from "./protocol.ts";

/** ocicrypt passes this to a provider that was named without attributes. */
const NO_ATTRIBUTES = "Enabled";

/** Names of providers. They become the end of an annotation's name. */
const NAME = /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,126}[A-Za-z0-9])?$/;

/** One wrapper for each provider of `NAME[:ATTRIBUTES]`; see {@link WrapScheme}. */
export async function prepare(
  recipients: readonly string[],
  settings: WrapSettings,
): Promise<readonly Wrapper[]> {
  const attributes = new Map<string, string[]>();
  for (const recipient of recipients) {
    const [name, attribute] = split(recipient);
    const known = attributes.get(name);
    if (known) known.push(attribute);
    else attributes.set(name, [attribute]);
  }
  return [...attributes].map(([name, values]) => wrapper(configured(name, settings), values, settings));
}

function split(recipient: string): [name: string, attribute: string] {
  const colon = recipient.indexOf(":");
  return colon < 0 ? [recipient, NO_ATTRIBUTES] : [recipient.slice(0, colon), recipient.slice(colon + 1)];
}

function configured(name: string, settings: WrapSettings): Provider {
  if (!NAME.test(name) || isReserved(name)) {
    throw new DecoderError("BAD_RECIPIENT", `provider:${name} does not name a key provider`, {
      hint: "a provider's name has letters, digits, dots, dashes and underscores, and is not the name of one of ocicrypt's lists",
    });
  }
  const provider = findProvider(name, settings.environment);
  if (provider.kind !== "none" && provider.name === CATCH_ALL) {
    throw new DecoderError("BAD_RECIPIENT", `provider:${name} has no entry of its own`, {
      hint: `the entry "${CATCH_ALL}" only decrypts: name one of the other key providers`,
    });
  }
  if (provider.kind === "none")
    throw new DecoderError("BAD_RECIPIENT", `provider:${name} can't be used: ${provider.reason}`, {
      hint: `configure it in the file that OCICRYPT_KEYPROVIDER_CONFIG names`,
    });
  return provider;
}

function wrapper(provider: Provider, attributes: readonly string[], settings: WrapSettings): Wrapper {
  const values = attributes.map((attribute) => new Uint8Array(Buffer.from(attribute)));
  const parameters = new Map([[provider.name, values]]);
  return {
    annotation: `provider.${provider.name}`,
    wrap: (options) => callProvider(provider, WRAP, wrapRequest(options, parameters), settings),
  };
}
