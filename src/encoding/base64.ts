/** The bytes of a text in RFC 4648 §4's base64 as Go's StdEncoding takes it (padded, line breaks ignored), or null. */
export function decodeBase64(text: string): Uint8Array<ArrayBuffer> | null {
  const flat = text.includes("\n") || text.includes("\r") ? text.replace(/[\r\n]/g, "") : text;
  if (flat.length % 4 !== 0) return null;
  const padding = flat.endsWith("==") ? 2 : flat.endsWith("=") ? 1 : 0;
  return decode(flat, "base64", (flat.length / 4) * 3 - padding);
}

/** The bytes of a text in RFC 4648 §5's base64 without padding, as JOSE writes it (RFC 7515 §2), or null. */
export function decodeBase64Url(text: string): Uint8Array<ArrayBuffer> | null {
  if (text.length % 4 === 1 || text.endsWith("=")) return null;
  return decode(text, "base64url", Math.floor((text.length * 3) / 4));
}

export function encodeBase64(bytes: Uint8Array): string {
  return bytes.toBase64();
}

export function encodeBase64Url(bytes: Uint8Array): string {
  return bytes.toBase64({ alphabet: "base64url", omitPadding: true });
}

/** Memory of its own: what is decoded here may be a key, and is zeroed. */
function decode(
  text: string,
  alphabet: "base64" | "base64url",
  length: number,
): Uint8Array<ArrayBuffer> | null {
  try {
    const bytes = Uint8Array.fromBase64(text, { alphabet });
    // It passes over white space, of which Go and JOSE allow none: then there are fewer bytes than the text has room for.
    return bytes.length === length ? bytes : null;
  } catch {
    return null;
  }
}
