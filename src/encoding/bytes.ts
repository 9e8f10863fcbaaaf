/** Byte arrays in memory of their own, which `crypto.subtle` accepts and which can be zeroed. */
export type Bytes = Uint8Array<ArrayBuffer>;

/** Go reads text the same way: a byte order mark is a character, and invalid UTF-8 becomes U+FFFD. */
const UTF8 = new TextDecoder("utf-8", { ignoreBOM: true });

/** Decodes UTF-8. The first use of `Buffer` would cost every layer 0.2 ms. */
export function decodeUtf8(bytes: Uint8Array): string {
  return UTF8.decode(bytes);
}

/** Editors on Windows put a byte order mark before UTF-8 text. */
export function withoutByteOrderMark<B extends ArrayBufferLike>(text: Uint8Array<B>): Uint8Array<B> {
  return text[0] === 0xef && text[1] === 0xbb && text[2] === 0xbf ? text.subarray(3) : text;
}

/** Joins byte arrays into a new one. */
export function concat(...parts: readonly Uint8Array[]): Bytes {
  const whole = new Uint8Array(totalLength(parts));
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}

export function totalLength(parts: readonly Uint8Array[]): number {
  let total = 0;
  for (const part of parts) total += part.length;
  return total;
}

/** Compares byte arrays. The time depends on their lengths only. `node:crypto` is too slow to load for one comparison. */
export function equalConstantTime(a: Uint8Array, b: Uint8Array): boolean {
  let difference = a.length ^ b.length;
  for (let i = 0; i < a.length; i++) difference |= (a[i] ?? 0) ^ (b[i] ?? 0);
  return difference === 0;
}
