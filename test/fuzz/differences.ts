import { sha256 } from "../support/images.ts";
import { plainBytes } from "../support/layer.ts";
import type { Outcome } from "./differential.ts";

/** One way in which this decoder differs from the one in Go (imgcrypt 1.1.11) on purpose. */
interface Explanation {
  readonly ours: Outcome["end"];
  readonly go: Outcome["end"];
  readonly ourMessage?: RegExp;
  readonly goMessage?: RegExp;
  /** Whether Go had released bytes. */
  readonly goReleased?: boolean;
  readonly why: string;
}

export const DIFFERENCES: readonly Explanation[] = [
  { ours: "refused", go: "crashed", why: "Go panics, with exit code 2: lengths that it does not check" },
  {
    ours: "refused",
    go: "refused",
    goReleased: true,
    why: "Go has released what is not authentic before it says so; here nothing leaves before the verdict",
  },
  {
    ours: "refused",
    go: "ok",
    ourMessage: /has no nonce, neither wrapped nor public/,
    why: "without a nonce Go decrypts with a random one, and releases garbage with exit code 0",
  },
  {
    ours: "refused",
    go: "ok",
    ourMessage: /public nonce differs from the wrapped one/,
    why: "a public nonce, which nothing authenticates, overrides the wrapped one in Go",
  },
  {
    ours: "refused",
    go: "ok",
    ourMessage: /size mismatch: more bytes arrive/,
    why: "the descriptor's size is not looked at by Go",
  },
  {
    ours: "refused",
    go: "ok",
    ourMessage: /size is not a whole number/,
    why: "sizes from 2^53 on, which no layer has, are refused",
  },
  {
    ours: "refused",
    go: "ok",
    ourMessage: /wrapped for jwe; tried: jwe: the JWE is not a well-formed JSON object/,
    why: "Go drops white space anywhere in a JWE before it reads it; line breaks inside of JSON's texts are no JSON",
  },
  {
    ours: "refused",
    go: "ok",
    ourMessage:
      /tried: jwe: the JWE (is compressed|has critical extensions|has a .*(missing or no base64url|that is no))/,
    why: "zip, crit and members of a wrong kind are refused, also where Go does not look at them",
  },
  {
    ours: "refused",
    go: "ok",
    ourMessage: /tried: pkcs7: the PKCS#7 packet is malformed/,
    why: "what is left over, repeated or of the wrong type in CMS is refused; Go skips most of what it does not need",
  },
  {
    ours: "refused",
    go: "ok",
    ourMessage: /tried: pkcs7 .*this way of wrapping is not supported/,
    why: "the name of the key wrapping counts; Go does not look at it",
  },
  {
    ours: "refused",
    go: "ok",
    ourMessage: /tried: pgp: it (has|does not end with|is not|ends within)/,
    why: "an OpenPGP message is its session keys and its data (RFC 9580 §10.3); Go skips other packets, and stops at the data",
  },
  {
    ours: "ok",
    go: "refused",
    goMessage:
      /could not UnmarshalAny\(\) the decrypt data: (json: cannot unmarshal|illegal base64|parsing time)/,
    why: "Go checks the types of all members of the payload, also of those that nobody needs",
  },
  {
    ours: "ok",
    go: "refused",
    goMessage: /could not JSON unmarshal (privOptsData|pubOptsData): (json: cannot unmarshal|illegal base64)/,
    why: "Go checks the types of all members of the layer's options, also of those that nobody needs",
  },
  {
    ours: "ok",
    go: "refused",
    goMessage: /no suitable key unwrapper found or none of the private keys could be used/,
    why: "each recipient is tried by itself with each key that may fit; Go gives the packet up for one recipient that is malformed, or named in another way than by its certificate",
  },
];

/**
 * The plaintext of every base: nothing else may come out where Go refuses, unless the wrapped options themselves were
 * changed before they were wrapped, and with them the nonce.
 */
const PLAINTEXT = sha256(plainBytes(200));
const WRAPPED_OPTIONS = /privOptsData/;

/** Why two outcomes differ; undefined when nothing explains it. */
export function explain(ours: Outcome, go: Outcome): string | undefined {
  if (ours.end === "ok" && ours.released !== PLAINTEXT && !WRAPPED_OPTIONS.test(go.message)) return undefined;
  if (ours.end !== "ok" && ours.bytes > 0) return undefined;
  return DIFFERENCES.find(
    (it) =>
      it.ours === ours.end &&
      it.go === go.end &&
      (it.ourMessage?.test(ours.message) ?? true) &&
      (it.goMessage?.test(go.message) ?? true) &&
      (it.goReleased === undefined || it.goReleased === go.bytes > 0),
  )?.why;
}
