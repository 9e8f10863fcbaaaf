import type { Case } from "../build.ts";
import { DESCRIPTOR_CASES } from "./descriptor.ts";
import { JWE_ALGORITHMS } from "./jwe-algorithms.ts";
import { JWE_CONTENT } from "./jwe-content.ts";
import { JWE_HEADERS } from "./jwe-headers.ts";
import { JWE_KEYS } from "./jwe-keys.ts";
import { KEYS_CASES } from "./keys.ts";
import { OPTIONS_CASES } from "./options.ts";
import { PAYLOAD_CASES } from "./payload.ts";
import { PGP_CASES } from "./pgp.ts";
import { PKCS7_CASES } from "./pkcs7.ts";
import { STREAM_CASES } from "./stream.ts";

/** Every vector by its name, which is its file's. */
export const CASES: ReadonlyMap<string, Case> = new Map(
  [
    PAYLOAD_CASES,
    DESCRIPTOR_CASES,
    OPTIONS_CASES,
    JWE_ALGORITHMS,
    JWE_HEADERS,
    JWE_KEYS,
    JWE_CONTENT,
    PKCS7_CASES,
    PGP_CASES,
    KEYS_CASES,
    STREAM_CASES,
  ].flatMap((cases) => Object.entries(cases)),
);
