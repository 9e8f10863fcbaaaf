import type { Descriptor } from "../../src/spec/descriptor.ts";

/** The decryption parameters of a payload by name ("privkeys"): bytes or text, which travel as base64. */
export type Parameters = Readonly<Record<string, readonly (Uint8Array | string | null)[]>>;

const TYPE_URL = "io.containerd.ocicrypt.v1.Payload";

/** What containerd writes to fd 3: an Any with JSON inside. From the CRI, `parameters` is null. */
export function payload(descriptor: Descriptor, parameters: Parameters | null = null): Buffer {
  const json = { DecryptConfig: { Parameters: parameters && encoded(parameters) }, Descriptor: descriptor };
  return any(TYPE_URL, Buffer.from(JSON.stringify(json)));
}

function encoded(parameters: Parameters): Record<string, (string | null)[]> {
  const base64 = (value: Uint8Array | string | null) => value && Buffer.from(value).toString("base64");
  return Object.fromEntries(Object.entries(parameters).map(([name, values]) => [name, values.map(base64)]));
}

/** google.protobuf.Any: 1 type_url, 2 value, both length-delimited. */
export function any(typeUrl: string, value: Uint8Array): Buffer {
  return Buffer.concat([field(1, Buffer.from(typeUrl)), field(2, value)]);
}

/** A length-delimited (wire type 2) protobuf field. */
export function field(number: number, value: Uint8Array): Buffer {
  return Buffer.concat([varint((number << 3) | 2), varint(value.length), value]);
}

export function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 0x7f; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 0x80);
  return Buffer.from([...bytes, rest]);
}
