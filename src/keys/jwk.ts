import { decodeBase64Url } from "../encoding/base64.ts";
import { isObject, type JsonObject, parseJsonObject } from "../encoding/json.ts";
import {
  CURVE_BYTES,
  ecKey,
  type KeyLabels,
  type KeyResult,
  PUBLIC_KEY,
  rsaKeyFromNumbers,
} from "./private-key.ts";

/** RFC 7518 §6.3.2, in the order of RFC 8017's RSAPrivateKey. */
const RSA_NUMBERS = ["n", "e", "d", "p", "q", "dp", "dq", "qi"] as const;

/** Parses a JWK or a JWK set (RFC 7517 §5). Null when the text is neither. */
export function parseJwks(bytes: Uint8Array, origin: string): KeyResult[] | null {
  const value = parseJsonObject(bytes);
  if (value === null) return null;
  const list = value["keys"];
  if (value["kty"] === undefined && Array.isArray(list)) {
    return list.map((entry, i) => parseJwk(entry, `${origin}#${i}`));
  }
  return value["kty"] === undefined ? null : [parseJwk(value, origin)];
}

function parseJwk(jwk: unknown, origin: string): KeyResult {
  if (!isObject(jwk)) return { reason: "an entry of a JWK set that is not an object" };
  const labels: KeyLabels = {
    origin,
    ...(typeof jwk["kid"] === "string" ? { kid: jwk["kid"] } : {}),
    ...(typeof jwk["alg"] === "string" ? { alg: jwk["alg"] } : {}),
  };
  const unusable = usageProblem(jwk);
  if (unusable !== null) return { reason: unusable };
  switch (jwk["kty"]) {
    case "RSA":
      return rsaFromJwk(jwk, labels);
    case "EC":
      return ecFromJwk(jwk, labels);
    default:
      return { reason: "a JWK of a type that can't open layers (only RSA and EC keys can)" };
  }
}

/** RFC 7517 §4.2: a key for another use is not used. */
function usageProblem(jwk: JsonObject): string | null {
  if (jwk["d"] === undefined) return PUBLIC_KEY;
  if (jwk["use"] !== undefined && jwk["use"] !== "enc") return 'a JWK whose "use" is not "enc"';
  return null;
}

function rsaFromJwk(jwk: JsonObject, labels: KeyLabels): KeyResult {
  const numbers: Uint8Array[] = [];
  for (const name of RSA_NUMBERS) {
    const number = member(jwk, name);
    if (number === null) return { reason: `an RSA JWK whose "${name}" is missing or not base64url` };
    numbers.push(number);
  }
  if (jwk["oth"] !== undefined) return { reason: "an RSA JWK with more than two primes" };
  return rsaKeyFromNumbers(numbers, labels);
}

function ecFromJwk(jwk: JsonObject, labels: KeyLabels): KeyResult {
  const curve = jwk["crv"];
  if (curve !== "P-256" && curve !== "P-384" && curve !== "P-521") {
    return { reason: "an EC JWK on a curve other than P-256, P-384 and P-521" };
  }
  const [x, y, d] = [member(jwk, "x"), member(jwk, "y"), member(jwk, "d")];
  if (x === null || y === null || d === null) return { reason: "an EC JWK without a well-formed x, y and d" };
  const length = CURVE_BYTES[curve];
  if (x.length > length || y.length > length)
    return { reason: `an EC JWK whose point is too long for ${curve}` };
  // RFC 7518 §6.2.1.2 requires full-length coordinates, but some writers strip leading zeros.
  const point = new Uint8Array(1 + 2 * length);
  point[0] = 4;
  point.set(x, 1 + length - x.length);
  point.set(y, 1 + 2 * length - y.length);
  return ecKey(curve, d, point, labels);
}

function member(jwk: JsonObject, name: string): Uint8Array | null {
  const value = jwk[name];
  if (typeof value !== "string" || value === "") return null;
  return decodeBase64Url(value);
}
