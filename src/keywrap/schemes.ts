import * as jwe from "./jwe/unwrap.ts";
import type { DescribeScheme, UnwrapScheme, WrapScheme } from "./scheme.ts";

/** Parts of a key set whose keys open packets. */
export type KeyKind = "keys" | "keyrings" | "tokenKeys";

/**
 * A row of the table of schemes. A part is loaded when a layer or a command first needs it. Only JWE, which most layers use,
 * is loaded from the start.
 */
export interface SchemeRow {
  /** The annotation's name after `org.opencontainers.image.enc.keys.`, and the beginning of a recipient on the command line. */
  readonly name: string;
  /** Whether `.NAME` follows in the annotation: the name of a service that unwraps. */
  readonly isNamed?: true;
  /** The form of a recipient on the command line: "jwe:FILE". */
  readonly recipient: string;
  /** The keys that open the scheme's packets. Empty when a service does. */
  readonly openedBy: readonly KeyKind[];
  /** The part of a node's key set that also is, or yields, a recipient's file. Undefined when none does. */
  readonly testedWith?: "keys" | "certificates" | "tokenKeys";
  readonly unwrap: () => Promise<UnwrapScheme>;
  readonly wrap: () => Promise<WrapScheme>;
  readonly describe: () => Promise<DescribeScheme>;
}

/** In the order of trial: cheap and local schemes first, those that leave the machine last. */
export const SCHEMES: readonly SchemeRow[] = [
  {
    name: "jwe",
    recipient: "jwe:FILE",
    openedBy: ["keys", "tokenKeys"],
    testedWith: "keys",
    unwrap: async () => jwe,
    wrap: () => import("./jwe/wrap.ts"),
    describe: () => import("./jwe/describe.ts"),
  },
  {
    name: "pkcs7",
    recipient: "pkcs7:CERT",
    openedBy: ["keys"],
    testedWith: "certificates",
    unwrap: () => import("./pkcs7/unwrap.ts"),
    wrap: () => import("./pkcs7/wrap.ts"),
    describe: () => import("./pkcs7/describe.ts"),
  },
  {
    name: "pgp",
    recipient: "pgp:NAME-OR-FILE",
    openedBy: ["keyrings"],
    unwrap: () => import("./pgp/unwrap.ts"),
    wrap: () => import("./pgp/wrap.ts"),
    describe: () => import("./pgp/describe.ts"),
  },
  {
    name: "pkcs11",
    recipient: "pkcs11:FILE",
    openedBy: ["tokenKeys"],
    testedWith: "tokenKeys",
    unwrap: () => import("./pkcs11/unwrap.ts"),
    wrap: () => import("./pkcs11/wrap.ts"),
    describe: () => import("./pkcs11/describe.ts"),
  },
  {
    name: "provider",
    isNamed: true,
    recipient: "provider:NAME[:ATTRS]",
    openedBy: [],
    unwrap: () => import("./provider/unwrap.ts"),
    wrap: () => import("./provider/wrap.ts"),
    describe: () => import("./provider/describe.ts"),
  },
];

/** The scheme of an annotation, and the name in it. */
export interface SchemeUse {
  readonly row: SchemeRow;
  /** "kms" of "provider.kms"; empty for schemes without names. */
  readonly name: string;
}

/** @param suffix an annotation's name after the prefix: "jwe", "provider.kms". @returns undefined for an unknown scheme */
export function schemeOf(suffix: string): SchemeUse | undefined {
  const dot = suffix.indexOf(".");
  const [scheme, name] = dot < 0 ? [suffix, ""] : [suffix.slice(0, dot), suffix.slice(dot + 1)];
  const row = rowOf(scheme);
  if (row === undefined || (row.isNamed === true) !== (name !== "")) return undefined;
  return dot >= 0 && name === "" ? undefined : { row, name };
}

function rowOf(scheme: string): SchemeRow | undefined {
  for (const row of SCHEMES) if (row.name === scheme) return row;
  return undefined;
}
