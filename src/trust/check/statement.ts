import { decodeBase64 } from "../../encoding/base64.ts";
import { isObject, type JsonObject } from "../../encoding/json.ts";
import { parseStrictJson } from "../../encoding/strict-json.ts";
import * as LIMITS from "../../system-limits.ts";
import type { StatementDemand } from "../requirement.ts";
import { untrusted } from "./message.ts";

/** A DSSE envelope with one signature (secure-systems-lab/dsse, protocol.md). */
export interface Envelope {
  readonly payloadType: string;
  readonly payload: Uint8Array;
  readonly signature: Uint8Array;
}

/** An in-toto statement about one digest. */
export interface Statement {
  readonly predicateType: string;
  /** Name of the subject with that digest. */
  readonly subjectName: string | undefined;
  readonly annotations: JsonObject;
}

export const IN_TOTO = "application/vnd.in-toto+json";
const STATEMENT_TYPES: ReadonlySet<unknown> = new Set([
  "https://in-toto.io/Statement/v0.1",
  "https://in-toto.io/Statement/v1",
]);
/** What cosign 3 calls an image's signature. */
export const SIGNATURE_PREDICATE = "https://sigstore.dev/cosign/sign/v1";

/** What a DSSE signature is over: the pre-authentication encoding. */
export function preAuthentication({ payloadType, payload }: Omit<Envelope, "signature">): Uint8Array {
  const typeLength = Buffer.byteLength(payloadType);
  return Buffer.concat([Buffer.from(`DSSEv1 ${typeLength} ${payloadType} ${payload.length} `), payload]);
}

/** @throws DecoderError UNTRUSTED */
export function readEnvelope(json: Uint8Array): Envelope {
  const value = parse(json, "its envelope");
  const { payloadType, payload, signatures } = isObject(value) ? value : {};
  const [signature, another] = Array.isArray(signatures) ? signatures : [];
  const sig: unknown = isObject(signature) ? signature["sig"] : undefined;
  if (typeof payloadType !== "string" || typeof payload !== "string")
    throw untrusted("its envelope is malformed: it has no payload");
  if (typeof sig !== "string" || another !== undefined)
    throw untrusted("its envelope is malformed: it does not have exactly one signature");
  const [content, bytes] = [decodeBase64(payload), decodeBase64(sig)];
  if (content === null || bytes === null)
    throw untrusted("its envelope is malformed: its payload or signature is not base64");
  return { payloadType, payload: content, signature: bytes };
}

/**
 * What a verified envelope says about a digest.
 * @param sha256 hexadecimal
 * @throws DecoderError UNTRUSTED when it says nothing about it
 */
export function readStatement(
  { payloadType, payload }: Omit<Envelope, "signature">,
  sha256: string,
): Statement {
  if (payloadType !== IN_TOTO)
    throw untrusted(`its payload is ${JSON.stringify(payloadType)}, not an in-toto statement`);
  const value = parse(payload, "its statement");
  const { _type, subject, predicateType } = isObject(value) ? value : {};
  if (!STATEMENT_TYPES.has(_type)) throw untrusted("its statement is of an unknown version");
  if (typeof predicateType !== "string") throw untrusted("its statement has no predicate type");
  if (!Array.isArray(subject) || subject.length > LIMITS.statementSubjects)
    throw untrusted("its statement's subject is malformed");
  const mine = subject.find(
    (it) => isObject(it) && isObject(it["digest"]) && it["digest"]["sha256"] === sha256,
  );
  if (mine === undefined)
    throw untrusted(
      `the subject of its statement is ${describeSubject(subject[0])}: the digest does not match`,
    );
  const { name, annotations } = mine;
  return {
    predicateType,
    subjectName: typeof name === "string" && name !== "" ? name : undefined,
    annotations: isObject(annotations) ? annotations : {},
  };
}

/** @throws DecoderError UNTRUSTED when the statement is of another predicate type than the one asked for */
export function checkPredicate({ predicateType }: Statement, demand: StatementDemand): void {
  const type = JSON.stringify(predicateType);
  if (demand.kind === "signature") {
    if (predicateType !== SIGNATURE_PREDICATE)
      throw untrusted(`it is an attestation of the predicate type ${type}, not a signature`);
    return;
  }
  if (predicateType === SIGNATURE_PREDICATE) throw untrusted("it is a signature, not an attestation");
  if (demand.predicateType !== undefined && predicateType !== demand.predicateType)
    throw untrusted(`its predicate type is ${type}, and ${JSON.stringify(demand.predicateType)} is demanded`);
}

function describeSubject(subject: unknown): string {
  const digest = isObject(subject) && isObject(subject["digest"]) ? subject["digest"]["sha256"] : undefined;
  return typeof digest === "string" ? `sha256:${digest}` : "something else";
}

function parse(json: Uint8Array, what: string): unknown {
  if (json.length > LIMITS.attestationBytes) throw untrusted(`${what} is too long`);
  try {
    return parseStrictJson(json);
  } catch (error) {
    throw untrusted(
      `${what} is malformed: ${error instanceof SyntaxError ? error.message : "it is not JSON"}`,
    );
  }
}
