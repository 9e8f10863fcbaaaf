import { sign } from "node:crypto";
import { describe, expect, test } from "vitest";
import { bytesMessage } from "../../../../src/trust/check/message.ts";
import { verifySignedEntry } from "../../../../src/trust/check/rekor.ts";
import { readTrustedRoot } from "../../../../src/trust/check/trusted-root.ts";
import { hashedrekord, newKey, pemOf, SIGNED_AT, Sigstore, spkiOf } from "../../../support/sigstore.ts";
import { trustFile } from "./demand.ts";

const store = new Sigstore();
const { logs } = readTrustedRoot(trustFile("root.json", JSON.stringify(store.trustedRoot())));
const KEY = newKey();
const SIGNED = Buffer.from("signed");
const signature = sign("sha256", SIGNED, KEY.privateKey);
const LOGGED = {
  ...{ signed: bytesMessage(SIGNED), payload: undefined, signature },
  verifier: spkiOf(KEY.publicKey),
};
const ENTRY = JSON.parse(
  store.signedEntry(hashedrekord(SIGNED, signature, pemOf("PUBLIC KEY", spkiOf(KEY.publicKey)))),
);
const text = (value: unknown) => Buffer.from(JSON.stringify(value));

/** An entry that a log has signed, whatever is in it. */
function signedBy(payload: object, key = store.rekor): Buffer {
  const SignedEntryTimestamp = sign("sha256", text(payload), key.privateKey).toString("base64");
  return text({ SignedEntryTimestamp, Payload: payload });
}

const verify = async (json: Uint8Array, known = logs) =>
  await verifySignedEntry(json, known, LOGGED).catch(({ code, message }) => `${code}: ${message}`);

describe("the promise of a log", () => {
  test("tells when it took the entry in, if it trusts the log at that time", async () => {
    expect(await verify(text(ENTRY))).toBe(SIGNED_AT);
    const valid = (start: number, end: number) => logs.map((log) => ({ ...log, validity: { start, end } }));
    expect(await verify(text(ENTRY), valid(SIGNED_AT, SIGNED_AT))).toBe(SIGNED_AT);
    const other = /^UNTRUSTED: its log entry \(Rekor SET\) is not signed by a log that was trusted then$/;
    expect(await verify(text(ENTRY), valid(SIGNED_AT + 1, SIGNED_AT + 2))).toMatch(other);
    expect(await verify(text(ENTRY), valid(SIGNED_AT - 2, SIGNED_AT - 1))).toMatch(other);
    expect(await verify(text(ENTRY), [])).toMatch(other);
    expect(await verify(signedBy(ENTRY.Payload, store.ctLog))).toMatch(other);
    expect(await verify(signedBy({ ...ENTRY.Payload, logID: "00".repeat(32) }))).toMatch(other);
  });

  test("may be of any of several logs, and of the first entry", async () => {
    const other = readTrustedRoot(trustFile("root.json", JSON.stringify(new Sigstore().trustedRoot()))).logs;
    expect(await verify(text(ENTRY), [...other, ...logs])).toBe(SIGNED_AT);
    // RFC 8785: the names are sorted.
    const { body, integratedTime, logID } = ENTRY.Payload;
    expect(await verify(signedBy({ body, integratedTime, logID, logIndex: 0 }))).toBe(SIGNED_AT);
  });

  const SET = ENTRY.SignedEntryTimestamp;
  const MEMBERS = "its members are not those of a Rekor entry";
  const PAYLOAD = "its payload is not that of a Rekor entry";
  test.each<[unknown, string]>([
    [[], MEMBERS],
    [{}, MEMBERS],
    [{ ...ENTRY, SignedEntryTimestamp: 1 }, MEMBERS],
    [{ ...ENTRY, SignedEntryTimestamp: "*" }, MEMBERS],
    [{ SignedEntryTimestamp: SET }, MEMBERS],
    [{ SignedEntryTimestamp: SET, Payload: [] }, MEMBERS],
    ...Object.entries({
      body: [1],
      integratedTime: ["1", -1, 1.5, null],
      logIndex: ["1", -1, 1.5, null],
      logID: [1, "ab", `${"ab".repeat(32)}x`, `x${"ab".repeat(32)}`, "AB".repeat(32)],
    }).flatMap(([name, values]) =>
      values.map((value): [unknown, string] => [
        { ...ENTRY, Payload: { ...ENTRY.Payload, [name]: value } },
        PAYLOAD,
      ]),
    ),
    [{ ...ENTRY, Payload: { ...ENTRY.Payload, more: 1 } }, "its payload has other members"],
  ])("is malformed: %#", async (value, problem) => {
    expect(await verify(text(value))).toBe(`UNTRUSTED: its log entry is malformed: ${problem}`);
  });

  test("is malformed if it is not JSON, and so is a body that is not base64", async () => {
    expect(await verify(Buffer.from("{"))).toMatch(/^UNTRUSTED: its log entry is malformed: .+/);
    const { integratedTime, logID, logIndex } = ENTRY.Payload;
    expect(await verify(signedBy({ body: "*", integratedTime, logID, logIndex }))).toBe(
      "UNTRUSTED: its log entry is not base64",
    );
  });

  test("is for one signature", async () => {
    const other = { ...LOGGED, signature: Buffer.from("other") };
    await expect(verifySignedEntry(text(ENTRY), logs, other)).rejects.toThrow("of another signature");
  });
});
