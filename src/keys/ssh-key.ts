import type { Bytes } from "../encoding/bytes.ts";
import type { Unusable } from "./keyset.ts";
import { ecKey, type KeyLabels, type KeyResult, rsaKeyFromNumbers } from "./private-key.ts";

/** OpenSSH's keys: private ones (openssh PROTOCOL.key), and lines of public ones (RFC 4253 §6.6, RFC 5656 §3.1). */

const MAGIC = "openssh-key-v1\0";
const ENCRYPTED: Unusable = {
  reason:
    "an encrypted OpenSSH key (to convert a copy of it: cp KEY KEY.pem && ssh-keygen -p -m PKCS8 -f KEY.pem)",
};
const MALFORMED: Unusable = { reason: "a malformed OpenSSH key" };

const CURVES = new Map([
  ["nistp256", "P-256"],
  ["nistp384", "P-384"],
  ["nistp521", "P-521"],
] as const);

/** Parses an unencrypted RSA or ECDSA key. @param body the decoded PEM block "OPENSSH PRIVATE KEY" */
export function parseSshPrivateKey(body: Bytes, labels: KeyLabels): KeyResult {
  const fields = new Fields(body, MAGIC.length);
  if (Buffer.from(body.subarray(0, MAGIC.length)).toString("latin1") !== MAGIC) return MALFORMED;
  try {
    const cipher = fields.text();
    fields.skip(2); // the derivation and its options
    if (fields.number() !== 1) return { reason: "an OpenSSH file with several keys" };
    fields.skip(1); // the public key
    if (cipher !== "none") return ENCRYPTED;
    return privateKeyIn(new Fields(fields.bytes(), 0), labels);
  } catch (error) {
    if (error instanceof RangeError) return MALFORMED;
    throw error;
  }
}

function privateKeyIn(fields: Fields, labels: KeyLabels): KeyResult {
  // Two equal check numbers show that the part was decrypted with the right key.
  const checks = [fields.number(), fields.number()];
  if (checks[0] !== checks[1]) return MALFORMED;
  const type = fields.text();
  if (type === "ssh-rsa") {
    const next = () => fields.bytes();
    const [n, e, d, qi, p, q] = [next(), next(), next(), next(), next(), next()];
    // RFC 8017 §3.2: the CRT exponents, which OpenSSH leaves out.
    const numbers = [n, e, d, p, q, exponent(d, p), exponent(d, q), qi];
    return rsaKeyFromNumbers(numbers, labels);
  }
  const curve = CURVES.get(type.replace(/^ecdsa-sha2-/, "") as "nistp256");
  if (curve === undefined)
    return { reason: "an OpenSSH key of a type that can't open layers (only RSA and ECDSA keys can)" };
  fields.skip(1); // the curve once more
  const [point, scalar] = [fields.bytes(), fields.bytes()];
  return ecKey(curve, scalar, point, labels);
}

/** d mod (prime - 1), big-endian. */
function exponent(d: Bytes, prime: Bytes): Bytes {
  const modulus = BigInt(`0x${prime.toHex() || "0"}`) - 1n;
  if (modulus <= 0n) throw new RangeError("not a prime");
  const hex = (BigInt(`0x${d.toHex() || "0"}`) % modulus).toString(16);
  return Uint8Array.fromHex(hex.padStart(hex.length + (hex.length % 2), "0"));
}

const PUBLIC_LINE = /^(ssh-rsa|ecdsa-sha2-nistp(?:256|384|521)) ([A-Za-z0-9+/]+={0,2})(?:\s|$)/;

/** The JWK of a line like "ssh-rsa AAAA… comment". Null for another text, or a malformed key. */
export function parseSshPublicKey(text: string): Record<string, string> | null {
  const [, type = "", base64 = ""] = PUBLIC_LINE.exec(text) ?? [];
  if (type === "") return null;
  const base64Url = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64url");
  try {
    const fields = new Fields(new Uint8Array(Buffer.from(base64, "base64")), 0);
    if (fields.text() !== type) return null;
    if (type === "ssh-rsa") {
      const [e, n] = [fields.bytes(), fields.bytes()];
      return { kty: "RSA", e: base64Url(e), n: base64Url(n[0] === 0 ? n.subarray(1) : n) };
    }
    const crv = CURVES.get(fields.text() as "nistp256");
    const point = fields.bytes();
    const length = (point.length - 1) / 2;
    if (crv === undefined || point[0] !== 4 || !Number.isInteger(length)) return null;
    return {
      kty: "EC",
      crv,
      x: base64Url(point.subarray(1, 1 + length)),
      y: base64Url(point.subarray(1 + length)),
    };
  } catch (error) {
    if (error instanceof RangeError) return null;
    throw error;
  }
}

/** Reads the fields of RFC 4251 §5 one after another. @throws RangeError at the end of the data */
class Fields {
  readonly #data: Bytes;
  #at: number;

  constructor(data: Bytes, at: number) {
    this.#data = data;
    this.#at = at;
  }

  number(): number {
    const view = new DataView(this.#data.buffer, this.#data.byteOffset, this.#data.length);
    const value = view.getUint32(this.#at);
    this.#at += 4;
    return value;
  }

  /** A string or an mpint, a view. */
  bytes(): Bytes {
    const length = this.number();
    const end = this.#at + length;
    if (end > this.#data.length) throw new RangeError("the data is cut off");
    const value = this.#data.subarray(this.#at, end);
    this.#at = end;
    return value;
  }

  text(): string {
    return Buffer.from(this.bytes()).toString("latin1");
  }

  skip(count: number): void {
    for (let i = 0; i < count; i++) this.bytes();
  }
}
