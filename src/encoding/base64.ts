import type { Bytes } from "./bytes.ts";

/** Decodes base64 (RFC 4648 §4) as Go's StdEncoding does: padded, line breaks ignored. Null for anything else. */
export function decodeBase64(text: string): Bytes | null {
  const flat = text.includes("\n") || text.includes("\r") ? text.replace(/[\r\n]/g, "") : text;
  if (flat.length % 4 !== 0) return null;
  const padding = flat.endsWith("==") ? 2 : flat.endsWith("=") ? 1 : 0;
  return decode(flat, "base64", (flat.length / 4) * 3 - padding);
}

/** Decodes unpadded base64url (RFC 4648 §5) as JOSE writes it (RFC 7515 §2). Null for anything else. */
export function decodeBase64Url(text: string): Bytes | null {
  if (text.length % 4 === 1 || text.endsWith("=")) return null;
  return decode(text, "base64url", Math.floor((text.length * 3) / 4));
}

export function encodeBase64(bytes: Uint8Array): string {
  return bytes.toBase64();
}

export function encodeBase64Url(bytes: Uint8Array): string {
  return bytes.toBase64({ alphabet: "base64url", omitPadding: true });
}

/** Returns memory of its own: decoded keys are zeroed after use. */
function decode(text: string, alphabet: "base64" | "base64url", length: number): Bytes | null {
  try {
    const bytes = Uint8Array.fromBase64(text, { alphabet });
    // The runtime skips white space, which Go and JOSE refuse. Skipped characters show as missing bytes.
    return bytes.length === length ? bytes : null;
  } catch {
    return null;
  }
}
