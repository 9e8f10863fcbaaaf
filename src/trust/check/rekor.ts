import { createHash } from "node:crypto";
import { decodeBase64 } from "../../encoding/base64.ts";
import { isObject } from "../../encoding/json.ts";
import { parseStrictJson } from "../../encoding/strict-json.ts";
import * as LIMITS from "../../system-limits.ts";
import { verifyWith } from "./key.ts";
import { checkLogged, type Logged } from "./logged.ts";
import { bytesMessage, untrusted } from "./message.ts";
import { isValidAt, type TrustedLog } from "./trusted-root.ts";

/** A Rekor v1 log's signed promise about an entry, as cosign 2 keeps it (`dev.sigstore.cosign/bundle`). */
interface SignedEntry {
  /** base64, as it was signed. */
  readonly body: string;
  /** Seconds since 1970. */
  readonly integratedTime: number;
  readonly logIndex: number;
  /** Hex of SHA-256 of the log key's SPKI. */
  readonly logID: string;
  readonly signature: Uint8Array;
}

const ENTRY_FIELDS: ReadonlySet<string> = new Set(["body", "integratedTime", "logIndex", "logID"]);

/**
 * When a trusted log took this signature in.
 * @param json `{"SignedEntryTimestamp":…,"Payload":{…}}`
 * @returns milliseconds since 1970
 * @throws DecoderError UNTRUSTED
 */
export async function verifySignedEntry(
  json: Uint8Array,
  logs: readonly TrustedLog[],
  logged: Logged,
): Promise<number> {
  const entry = readSignedEntry(json);
  const time = entry.integratedTime * 1000;
  if (!(await isSignedByOne(entry, logs, time)))
    throw untrusted("its log entry (Rekor SET) is not signed by a log that was trusted then");
  const body = decodeBase64(entry.body);
  if (body === null) throw untrusted("its log entry is not base64");
  await checkLogged(body, logged);
  return time;
}

async function isSignedByOne(
  entry: SignedEntry,
  logs: readonly TrustedLog[],
  time: number,
): Promise<boolean> {
  const { body, integratedTime, logID, logIndex, signature } = entry;
  // RFC 8785: names sorted, no white space. base64 and hex need no escapes.
  const signed = Buffer.from(JSON.stringify({ body, integratedTime, logID, logIndex }));
  for (const log of logs) {
    const isNamed = createHash("sha256").update(log.key.spki).digest("hex") === logID;
    if (!isNamed || !isValidAt(log.validity, time)) continue;
    if (await verifyWith(log.key, bytesMessage(signed), signature, "plain")) return true;
  }
  return false;
}

function readSignedEntry(json: Uint8Array): SignedEntry {
  const value = parse(json);
  const payload = isObject(value) ? value["Payload"] : undefined;
  const promise = isObject(value) ? value["SignedEntryTimestamp"] : undefined;
  const signature = typeof promise === "string" ? decodeBase64(promise) : null;
  if (!isObject(payload) || signature === null) throw malformed("its members are not those of a Rekor entry");
  const { body, integratedTime, logIndex, logID } = payload;
  const isWhole = [integratedTime, logIndex].every((it) => Number.isSafeInteger(it) && Number(it) >= 0);
  if (!isWhole || typeof body !== "string" || typeof logID !== "string" || !/^[0-9a-f]{64}$/.test(logID))
    throw malformed("its payload is not that of a Rekor entry");
  // A member that is not looked at would not be in what was signed.
  if (!Object.keys(payload).every((name) => ENTRY_FIELDS.has(name)))
    throw malformed("its payload has other members");
  return { body, integratedTime: Number(integratedTime), logIndex: Number(logIndex), logID, signature };
}

function parse(json: Uint8Array): unknown {
  if (json.length > LIMITS.signatureBytes) throw malformed("it is too long");
  try {
    return parseStrictJson(json);
  } catch (error) {
    throw malformed(error instanceof SyntaxError ? error.message : "it is not JSON");
  }
}

function malformed(problem: string): Error {
  return untrusted(`its log entry is malformed: ${problem}`);
}
