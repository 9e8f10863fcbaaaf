import { PROVIDER_PREFIX } from "../spec/annotations.ts";
import * as jwe from "./jwe/unwrap.ts";
import type { DescribeScheme, UnwrapScheme, WrapScheme } from "./scheme.ts";

/**
 * A row of the table of schemes; each part is loaded when a layer or a command first needs it. Only JWE, which nearly all
 * layers are wrapped with, is there from the start.
 */
export interface SchemeRow {
  readonly name: SchemeName;
  readonly unwrap: () => Promise<UnwrapScheme>;
  readonly wrap: () => Promise<WrapScheme>;
  readonly describe: () => Promise<DescribeScheme>;
}

export type SchemeName = "jwe" | "pkcs7" | "pgp" | "pkcs11" | "provider";

/** In the order of trial: the cheap and local ones first, what leaves the machine last. */
export const SCHEMES: readonly SchemeRow[] = [
  {
    name: "jwe",
    unwrap: async () => jwe,
    wrap: () => import("./jwe/wrap.ts"),
    describe: () => import("./jwe/describe.ts"),
  },
  {
    name: "pkcs7",
    unwrap: () => import("./pkcs7/unwrap.ts"),
    wrap: () => import("./pkcs7/wrap.ts"),
    describe: () => import("./pkcs7/describe.ts"),
  },
  {
    name: "pgp",
    unwrap: () => import("./pgp/unwrap.ts"),
    wrap: () => import("./pgp/wrap.ts"),
    describe: () => import("./pgp/describe.ts"),
  },
  {
    name: "pkcs11",
    unwrap: () => import("./pkcs11/unwrap.ts"),
    wrap: () => import("./pkcs11/wrap.ts"),
    describe: () => import("./pkcs11/describe.ts"),
  },
  {
    name: "provider",
    unwrap: () => import("./provider/unwrap.ts"),
    wrap: () => import("./provider/wrap.ts"),
    describe: () => import("./provider/describe.ts"),
  },
];

/** The row for an annotation's suffix ("jwe", "provider.kms"), or undefined for one nobody knows. */
export function schemeOf(suffix: string): SchemeRow | undefined {
  const name = suffix.startsWith(PROVIDER_PREFIX) ? "provider" : suffix;
  if (name === "provider" && suffix.length <= PROVIDER_PREFIX.length) return undefined;
  return SCHEMES.find((row) => row.name === name);
}

/** What runs in a process of its own, by the name that the scheme starts it with (`io/helper.ts`). */
export const HELPERS: ReadonlyMap<string, () => Promise<{ serve(): Promise<void> }>> = new Map([
  ["pkcs11-module", () => import("./pkcs11/module-server.ts")],
]);
