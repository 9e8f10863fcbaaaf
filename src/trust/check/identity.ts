import { isIP } from "node:net";
import { readChildren, readElement, readOid, readOnly, TAG } from "../../encoding/der.ts";
import * as LIMITS from "../../system-limits.ts";
import type { CertificateIdentity, SubjectDemand, TextDemand, WorkflowClaim } from "../requirement.ts";
import { untrusted } from "./message.ts";
import { type Certificate, OID } from "./x509.ts";

interface Subject {
  readonly kind: "email" | "uri" | "dns" | "other";
  readonly text: string;
}

/** Whom a certificate names. */
interface CertificateNames {
  readonly subjects: readonly Subject[];
  /** The OIDC issuer that Fulcio asked; undefined in certificates of other authorities. */
  readonly issuer: string | undefined;
  readonly workflow: ReadonlyMap<WorkflowClaim, string>;
}

/** GeneralName's tags, RFC 5280 §4.2.1.6. */
const EMAIL = 0x81;
const DNS = 0x82;
const URI = 0x86;
const OTHER = 0xa0;
const UTF8_STRING = 0x0c;
/** Fulcio's arc 1.3.6.1.4.1.57264.1 (its docs/oid-info.md): .1 and .8 the issuer, .7 a user name as otherName. */
const FULCIO_ISSUER_V1 = "2b0601040183bf300101";
const FULCIO_ISSUER_V2 = "2b0601040183bf300108";
const WORKFLOW_CLAIMS: ReadonlyMap<string, WorkflowClaim> = new Map([
  ["2b0601040183bf300102", "trigger"],
  ["2b0601040183bf300103", "sha"],
  ["2b0601040183bf300104", "name"],
  ["2b0601040183bf300105", "repository"],
  ["2b0601040183bf300106", "ref"],
]);
const FULCIO_OTHER_NAME = "2b0601040183bf300107";
const CONSTRUCTED_0 = 0xa0;
const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** @throws DecoderError UNTRUSTED for names that are malformed or contradict each other */
export function readNames({ extensions }: Certificate): CertificateNames {
  const names = extensions.get(OID.subjectAlternativeName);
  return {
    subjects: names === undefined ? [] : readSubjects(names.value),
    issuer: readIssuer(extensions),
    workflow: readWorkflow(extensions),
  };
}

function readSubjects(value: Uint8Array<ArrayBuffer>): readonly Subject[] {
  const list = readOnly(value, TAG.SEQUENCE);
  const items = list && readChildren(list.content, LIMITS.certificateExtensions);
  if (items === null) throw untrusted("its certificate's subject alternative name is malformed");
  return items.flatMap(({ tag, content }): Subject[] => {
    if (tag === EMAIL) return [{ kind: "email", text: ascii(content) }];
    if (tag === URI) return [{ kind: "uri", text: ascii(content) }];
    if (tag === DNS) return [{ kind: "dns", text: ascii(content) }];
    if (tag !== OTHER) return [];
    const [type, explicit] = readChildren(content, 2) ?? [];
    if (readOid(type) !== FULCIO_OTHER_NAME) return [];
    const text = explicit?.tag === CONSTRUCTED_0 ? readElement(explicit.content) : null;
    if (text?.tag !== UTF8_STRING) throw untrusted("its certificate's user name is malformed");
    return [{ kind: "other", text: utf8(text.content) }];
  });
}

/** IA5String; a NUL or control character in it has fooled comparisons before (CVE-2009-2408). */
function ascii(content: Uint8Array): string {
  if (content.some((byte) => byte < 0x20 || byte > 0x7e))
    throw untrusted("its certificate's subject alternative name has characters that are not printable ASCII");
  return Buffer.from(content).toString("latin1");
}

function utf8(content: Uint8Array): string {
  try {
    return UTF8.decode(content);
  } catch {
    throw untrusted("its certificate has a name that is not UTF-8");
  }
}

function readIssuer(extensions: Certificate["extensions"]): string | undefined {
  const old = extensions.get(FULCIO_ISSUER_V1);
  const current = extensions.get(FULCIO_ISSUER_V2);
  const older = old && utf8(old.value);
  if (current === undefined) return older;
  const text = readElement(current.value);
  if (text?.tag !== UTF8_STRING || text.whole.length !== current.value.length)
    throw untrusted("its certificate's issuer is malformed");
  const issuer = utf8(text.content);
  if (older !== undefined && older !== issuer) throw untrusted("its certificate names two different issuers");
  return issuer;
}

/** These older extensions hold bare bytes. */
function readWorkflow(extensions: Certificate["extensions"]): ReadonlyMap<WorkflowClaim, string> {
  const claims = new Map<WorkflowClaim, string>();
  for (const [oid, claim] of WORKFLOW_CLAIMS) {
    const extension = extensions.get(oid);
    if (extension !== undefined) claims.set(claim, utf8(extension.value));
  }
  return claims;
}

/** `dev@example.com (issuer https://accounts.example.com)`, for messages. */
export function describeNames({ subjects, issuer }: CertificateNames): string {
  const names = subjects.map(({ text }) => text).join(", ") || "no identity";
  return issuer === undefined ? names : `${names} (issuer ${issuer})`;
}

/** @throws DecoderError UNTRUSTED when the certificate belongs to another identity */
export function checkNames(names: CertificateNames, identity: CertificateIdentity): void {
  const { subjects, issuer, workflow = new Map() } = identity;
  if (subjects.length === 0)
    throw untrusted("no certificate identity is demanded, and anybody can get a certificate");
  for (const demand of subjects) {
    if (names.subjects.some((subject) => isDemanded(subject, demand))) continue;
    throw untrusted(
      `its certificate is ${describeNames(names)}, and the subject ${describeDemand(demand.is)} is demanded`,
    );
  }
  if (issuer !== undefined && (names.issuer === undefined || !matches(names.issuer, issuer))) {
    throw untrusted(
      `its certificate is ${describeNames(names)}, and the issuer ${describeDemand(issuer)} is demanded`,
    );
  }
  for (const [claim, value] of workflow) {
    if (names.workflow.get(claim) === value) continue;
    const actual = names.workflow.get(claim);
    throw untrusted(
      `its certificate's GitHub workflow ${claim} is ${actual === undefined ? "missing" : `"${actual}"`}, and "${value}" is demanded`,
    );
  }
}

function isDemanded({ kind, text }: Subject, { name, is }: SubjectDemand): boolean {
  if (name === "any" ? kind === "dns" : name !== kind) return false;
  if (kind !== "dns") return matches(text, is);
  return is.kind === "exact" ? matchesHost(text, is.text) : matches(text, is);
}

function matches(text: string, demand: TextDemand): boolean {
  if (demand.kind === "exact") return text === demand.text;
  if (demand.kind === "prefix") return text.startsWith(demand.text);
  return text.length <= LIMITS.identityChars && demand.regexp.test(text);
}

/** RFC 6125 §6.4: case does not count, and `*` stands for the whole first label. A DNS name is not an IP address. */
function matchesHost(pattern: string, host: string): boolean {
  if (isIP(host) !== 0) return false;
  const [name, wanted] = [pattern.toLowerCase(), host.toLowerCase()];
  if (!name.startsWith("*.")) return name === wanted;
  const dot = wanted.indexOf(".");
  return dot > 0 && wanted.slice(dot) === name.slice(1);
}

function describeDemand(demand: TextDemand): string {
  if (demand.kind === "exact") return `"${demand.text}"`;
  return demand.kind === "prefix" ? `"${demand.text}…"` : `matching ${demand.regexp.source}`;
}
