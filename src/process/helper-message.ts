/**
 * A message between this program and its helper process: a JSON head, and a body of bytes. The body may be a key, so it is kept
 * out of the JSON. On the wire: two 32-bit big-endian lengths, the head, the body.
 */
import * as LIMITS from "../limits.ts";

export interface HelperMessage {
  readonly head: Readonly<Record<string, unknown>>;
  readonly body: Uint8Array<ArrayBuffer>;
}

export const LENGTHS_BYTES = 8;

export const NO_BODY = new Uint8Array(0);

export function encodeMessage({ head, body }: HelperMessage): Uint8Array<ArrayBuffer> {
  const json = Buffer.from(JSON.stringify(head));
  const bytes = new Uint8Array(LENGTHS_BYTES + json.length + body.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, json.length);
  view.setUint32(4, body.length);
  bytes.set(json, LENGTHS_BYTES);
  bytes.set(body, LENGTHS_BYTES + json.length);
  return bytes;
}

/** Bytes of the message after its lengths. @throws Error when the lengths are not those of a message */
export function contentLength(lengths: Uint8Array<ArrayBuffer>): number {
  const { head, body } = readLengths(lengths);
  if (head + body > LIMITS.helperMessageBytes) throw new Error("bug: a helper's message is too long");
  return head + body;
}

export function decodeMessage(
  lengths: Uint8Array<ArrayBuffer>,
  content: Uint8Array<ArrayBuffer>,
): HelperMessage {
  const { head } = readLengths(lengths);
  return {
    head: JSON.parse(Buffer.from(content.buffer, content.byteOffset, head).toString("utf8")),
    body: content.slice(head),
  };
}

function readLengths(lengths: Uint8Array<ArrayBuffer>): { head: number; body: number } {
  const view = new DataView(lengths.buffer, lengths.byteOffset, LENGTHS_BYTES);
  return { head: view.getUint32(0), body: view.getUint32(4) };
}
