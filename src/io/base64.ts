/** RFC 4648 §4, as Go's base64.StdEncoding takes it: padded, line breaks ignored, nothing else. */
const STANDARD = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;
/** RFC 4648 §5 without padding, as JOSE writes it (RFC 7515 §2). */
const URL_SAFE = /^[A-Za-z0-9_-]*$/;

/** The bytes of a standard base64 text, or null when it isn't one. */
export function decodeBase64(text: string): Uint8Array<ArrayBuffer> | null {
  const flat = text.includes("\n") || text.includes("\r") ? text.replace(/[\r\n]/g, "") : text;
  return STANDARD.test(flat) ? ownBytes(flat, "base64") : null;
}

/** The bytes of an unpadded base64url text, or null when it isn't one. */
export function decodeBase64Url(text: string): Uint8Array<ArrayBuffer> | null {
  return URL_SAFE.test(text) && text.length % 4 !== 1 ? ownBytes(text, "base64url") : null;
}

export function encodeBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64");
}

export function encodeBase64Url(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64url");
}

/** Memory of its own rather than a slice of Buffer's shared pool: what is decoded here may be a key, and is zeroed. */
function ownBytes(text: string, encoding: "base64" | "base64url"): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(Buffer.byteLength(text, encoding));
  const written = Buffer.from(bytes.buffer).write(text, encoding);
  return written === bytes.length ? bytes : bytes.slice(0, written);
}
