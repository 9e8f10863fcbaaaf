import { encodeBase64 } from "./base64.ts";
import type { Bytes } from "./bytes.ts";

// Apart from pem.ts, since the decoder loads that file for each layer, and writes no PEM.

/** A block in the form of RFC 7468 §2: lines of 64 characters. */
export function writePem(label: string, body: Bytes): string {
  const lines = encodeBase64(body).replace(/.{64}(?=.)/g, "$&\n");
  return `-----BEGIN ${label}-----\n${lines}\n-----END ${label}-----\n`;
}
