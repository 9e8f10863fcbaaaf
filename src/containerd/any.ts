import { decodeUtf8 } from "../encoding/bytes.ts";
import { decodeFields } from "../encoding/protobuf.ts";
import { DecoderError } from "../errors.ts";

/** What containerd wraps the payload in, and its only type (imgcrypt `RegisterType`). */
export const PAYLOAD_TYPE = "io.containerd.ocicrypt.v1.Payload";

const TYPE_URL_FIELD = 1;
const VALUE_FIELD = 2;

export interface Any {
  readonly typeUrl: string;
  readonly value: Uint8Array<ArrayBuffer>;
}

/** Parses a google.protobuf.Any; an absent field is empty, as proto3 has it. @throws DecoderError BAD_PAYLOAD */
export function parseAny(bytes: Uint8Array<ArrayBuffer>): Any {
  const fields = decodeFields(bytes);
  if (fields === null) {
    throw new DecoderError(
      "BAD_PAYLOAD",
      "the payload that containerd passed is no well-formed protobuf message",
    );
  }
  return {
    typeUrl: decodeUtf8(fields.get(TYPE_URL_FIELD) ?? new Uint8Array(0)),
    value: fields.get(VALUE_FIELD) ?? new Uint8Array(0),
  };
}
