import { compact, flatten } from "../../support/jwe.ts";
import type { Case } from "../build.ts";
import { b64u } from "../material.ts";
import { ec, jwe, members, noKey, packet, without } from "./jwe-parts.ts";

/** Headers and serializations. */
export const JWE_HEADERS: Readonly<Record<string, Case>> = {
  "jwe-unknown-header": {
    about: "a header parameter that nobody knows",
    expect: "ok",
    ...jwe(ec(), flatten, { protected: { "x-made-by": "test" } }),
  },
  "jwe-65-headers": {
    about: "a header of more parameters than any",
    expect: packet,
    ...jwe(ec(), flatten, {
      protected: Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`x${i}`, i])),
    }),
  },
  "jwe-protected-missing": {
    about: "no protected header: enc has nowhere to be",
    expect: packet,
    ...members((it) => without(it, "protected")),
  },
  "jwe-protected-empty": {
    about: "an empty protected header",
    expect: packet,
    ...members((it) => ({ ...it, protected: "" })),
  },
  "jwe-protected-not-base64": {
    about: "a protected header that is no base64url",
    expect: packet,
    ...members((it) => ({ ...it, protected: "{}" })),
  },
  "jwe-protected-padded": {
    about: "base64 padding in the protected header",
    expect: packet,
    ...members((it) => ({ ...it, protected: `${it["protected"]}=` })),
  },
  "jwe-protected-not-json": {
    about: "a protected header that is no JSON",
    expect: packet,
    ...members((it) => ({ ...it, protected: b64u("enc") })),
  },
  "jwe-protected-list": {
    about: "a protected header that is a list",
    expect: packet,
    ...members((it) => ({ ...it, protected: b64u("[]") })),
  },
  "jwe-protected-number": {
    about: "a protected header that is a number",
    expect: packet,
    ...members((it) => ({ ...it, protected: 1 })),
  },
  "jwe-protected-changed": {
    about: "a space more in the protected header, which is authenticated",
    expect: noKey,
    ...members((it) => ({ ...it, protected: b64u(`${Buffer.from(String(it["protected"]), "base64url")} `) })),
  },
  "jwe-header-twice": {
    about: "alg in the protected and in the unprotected header",
    expect: packet,
    ...members((it) => ({ ...it, unprotected: { alg: "ECDH-ES+A256KW" } })),
  },
  "jwe-header-per-recipient": {
    about: "alg and epk in the recipient's header of a flattened JWE",
    expect: "ok",
    ...jwe(ec(), flatten, { flattened: false }),
  },
  "jwe-header-unprotected": {
    about: "alg and epk in the unprotected header",
    expect: "ok",
    ...members((it) => ({ ...without(it, "header"), unprotected: it["header"] }), ec(), { flattened: false }),
  },
  "jwe-header-text": {
    about: "a recipient's header that is text",
    expect: packet,
    ...members((it) => ({ ...it, header: "alg" })),
  },
  "jwe-header-null": {
    about: "a recipient's header of null is none",
    expect: "ok",
    ...members((it) => ({ ...it, header: null })),
  },
  "jwe-aad": {
    about: "additional data that is authenticated",
    expect: "ok",
    ...members((it) => ({ ...it, aad: b64u("more") }), ec(), { aad: b64u("more") }),
  },
  "jwe-aad-added": {
    about: "additional data that somebody added",
    expect: noKey,
    ...members((it) => ({ ...it, aad: b64u("more") })),
  },
  "jwe-aad-number": {
    about: "additional data that is a number",
    expect: packet,
    ...members((it) => ({ ...it, aad: 5 })),
  },
  "jwe-compact": { about: "compact serialization", expect: "ok", ...jwe(ec(), compact) },
  "jwe-compact-four": {
    about: "compact serialization without its tag",
    expect: packet,
    ...jwe(ec(), (it) =>
      Buffer.from(
        compact(it)
          .toString()
          .replace(/\.[^.]*$/, ""),
      ),
    ),
  },
  "jwe-compact-six": {
    about: "compact serialization of six parts",
    expect: packet,
    ...jwe(ec(), (it) => Buffer.concat([compact(it), Buffer.from(".AAAA")])),
  },
  "jwe-compact-jws": {
    about: "a signed token",
    expect: packet,
    ...jwe(ec(), () => Buffer.from("eyJhbGciOiJub25lIn0.e30.")),
  },
  "jwe-json-truncated": {
    about: "JSON without its last brace",
    expect: packet,
    ...jwe(ec(), (it) => flatten(it).subarray(0, -1)),
  },
  "jwe-json-spaces": {
    about: "JSON with line breaks and spaces",
    expect: "ok",
    ...members((it) => Buffer.from(`\n ${JSON.stringify(it, null, 2)}\n`)),
  },
  "jwe-json-deep": {
    about: "5,000 nested lists in an unknown member",
    expect: packet,
    ...members((it) => Buffer.from(`{"x":${"[".repeat(5000)},${JSON.stringify(it).slice(1)}`)),
  },
  "jwe-json-unknown": { about: "an unknown member", expect: "ok", ...members((it) => ({ x: 1, ...it })) },
  "jwe-json-duplicate": {
    about: "an iv twice: the last one counts",
    expect: "ok",
    ...members((it) => Buffer.from(`{"iv":"AAAA",${JSON.stringify(it).slice(1)}`)),
  },
};
