import type { Bytes } from "../../encoding/bytes.ts";
import { encodeField } from "../../encoding/protobuf.ts";
import { encodeNumber, ProtobufMessage } from "../../encoding/protobuf-message.ts";
import { NRI_NAME } from "./requirement.ts";

/** Field numbers are those of containerd/nri pkg/api/api.proto, version v1alpha1, and containerd/ttrpc request.proto. */

export const RUNTIME_SERVICE = "nri.pkg.api.v1alpha1.Runtime";
/** The bit of event VALIDATE_CONTAINER_ADJUSTMENT, 14. */
const VALIDATES = 1 << 13;

/** A container that NRI asks about. */
export interface NriContainer {
  readonly id: string;
  readonly pod: { readonly namespace: string; readonly name: string; readonly uid: string };
  /** Sources of its mounts. */
  readonly mounts: readonly string[];
}

export function registration(index: string): Buffer {
  return Buffer.concat([encodeField(1, Buffer.from(NRI_NAME)), encodeField(2, Buffer.from(index))]);
}

interface Configuration {
  /** containerd's version, "2.2.7". */
  readonly version: string;
  /** How long containerd waits for an answer, in ms; 0 if it does not say. */
  readonly timeoutMs: number;
}

export function readConfiguration(bytes: Bytes): Configuration | null {
  const message = ProtobufMessage.read(bytes);
  return message && { version: message.text(3), timeoutMs: message.number(5) };
}

/** Asks for containers to validate, and for nothing else. */
export function subscription(): Buffer {
  return encodeNumber(2, VALIDATES);
}

/** Repeats `more` of a request that comes in parts. */
export function synchronized(bytes: Bytes): Buffer {
  return encodeNumber(2, ProtobufMessage.read(bytes)?.number(3) ?? 0);
}

/** ValidateContainerAdjustmentRequest: 1 PodSandbox, 2 Container. */
export function readContainer(bytes: Bytes): NriContainer | null {
  const message = ProtobufMessage.read(bytes);
  const [pod, container] = [message?.message(1), message?.message(2)];
  const mounts = container?.messages(9);
  if (pod == null || container == null || mounts == null) return null;
  return {
    id: container.text(1),
    pod: { name: pod.text(2), uid: pod.text(3), namespace: pod.text(4) },
    mounts: mounts.map((it) => it.text(3)),
  };
}

/** @param reason why the container must not start; undefined lets it start */
export function verdict(reason: string | undefined): Buffer {
  if (reason === undefined) return Buffer.alloc(0);
  return Buffer.concat([encodeNumber(1, 1), encodeField(2, Buffer.from(reason))]);
}

interface Call {
  readonly method: string;
  readonly payload: Bytes;
}

export function readCall(bytes: Bytes): Call | null {
  const message = ProtobufMessage.read(bytes);
  return message && { method: message.text(2), payload: message.all(3).at(-1) ?? new Uint8Array(0) };
}

export function encodeCall(service: string, method: string, payload: Uint8Array): Buffer {
  const [name, path] = [Buffer.from(service), Buffer.from(method)];
  return Buffer.concat([encodeField(1, name), encodeField(2, path), encodeField(3, payload)]);
}

/** google.rpc.Status: 1 code, 2 message. */
export function encodeFailure(code: number, message: string): Bytes {
  return encodeField(1, Buffer.concat([encodeNumber(1, code), encodeField(2, Buffer.from(message))]));
}

export function encodeAnswer(payload: Uint8Array): Bytes {
  return encodeField(2, payload);
}

/** @returns why the call failed, or undefined if it did not */
export function failureOf(bytes: Bytes): string | undefined {
  const status = ProtobufMessage.read(bytes)?.message(1);
  if (status == null) return "an answer that can't be understood";
  return status.number(1) === 0 ? undefined : status.text(2);
}
