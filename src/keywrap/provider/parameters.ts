import type { Parameters } from "../../keys/keyset.ts";

/** What ocicrypt calls its own lists of keys, certificates and passwords: a provider of such a name would be handed them. */
const RESERVED = new Set([
  "gpg-privatekeys",
  "gpg-privatekeys-passwords",
  "gpg-pubkeyringfile",
  "gpg-recipients",
  "pkcs11-config",
  "pkcs11-pubkeys",
  "pkcs11-yamls",
  "privkeys",
  "privkeys-passwords",
  "pubkeys",
  "x509s",
]);

export function isReserved(providerName: string): boolean {
  return RESERVED.has(providerName);
}

/** A provider's own parameters, and nothing of the keys and passwords at hand. */
export function ownParameters(providerName: string, all: Parameters): Parameters {
  const own = isReserved(providerName) ? undefined : all.get(providerName);
  return own === undefined ? new Map() : new Map([[providerName, own]]);
}
