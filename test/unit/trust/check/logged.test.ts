import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { checkLogged, type Logged } from "../../../../src/trust/check/logged.ts";
import { bytesMessage } from "../../../../src/trust/check/message.ts";
import { newKey, pemOf, Sigstore, spkiOf } from "../../../support/sigstore.ts";

const [SIGNED, PAYLOAD, ENVELOPE, SIGNATURE] = ["signed", "payload", "envelope", "signature"].map((it) =>
  Buffer.from(it),
) as [Buffer, Buffer, Buffer, Buffer];
const KEY = newKey();
const SPKI = spkiOf(KEY.publicKey);
const CERTIFICATE = new Sigstore().leaf(KEY.publicKey);
const LOGGED: Logged = {
  signed: bytesMessage(SIGNED),
  payload: bytesMessage(PAYLOAD),
  envelope: bytesMessage(ENVELOPE),
  signature: SIGNATURE,
  verifier: SPKI,
};

const base64 = (bytes: Uint8Array | string) => Buffer.from(bytes).toString("base64");
const keyPem = base64(pemOf("PUBLIC KEY", SPKI));
const certificatePem = base64(pemOf("CERTIFICATE", CERTIFICATE));
const hex = (algorithm: string, bytes: Uint8Array) => ({
  algorithm,
  value: createHash(algorithm).update(bytes).digest("hex"),
});
const protobuf = (algorithm: string, bytes: Uint8Array) => ({
  algorithm: `SHA2_${algorithm.slice(3)}`,
  digest: createHash(algorithm).update(bytes).digest("base64"),
});
const v2 = (verifier: object = { publicKey: { rawBytes: base64(SPKI) } }) => ({
  content: base64(SIGNATURE),
  verifier,
});

/** Kind and version → what its entry has for this digest and verifier. */
const SPECS = {
  "hashedrekord 0.0.1": (hash = "sha256", pem = keyPem) => ({
    data: { hash: hex(hash, SIGNED) },
    signature: { content: base64(SIGNATURE), publicKey: { content: pem } },
  }),
  "hashedrekord 0.0.2": (hash = "sha256", _pem = keyPem) => ({
    hashedRekordV002: { data: protobuf(hash, SIGNED), signature: v2() },
  }),
  "dsse 0.0.1": (hash = "sha256", pem = keyPem) => ({
    payloadHash: hex(hash, PAYLOAD),
    signatures: [{ signature: base64(SIGNATURE), verifier: pem }],
  }),
  "dsse 0.0.2": (hash = "sha256", _pem = keyPem) => ({
    dsseV002: { payloadHash: protobuf(hash, PAYLOAD), signatures: [v2()] },
  }),
  "intoto 0.0.1": (hash = "sha256", pem = keyPem) => ({
    content: { hash: hex(hash, ENVELOPE) },
    publicKey: pem,
  }),
  "intoto 0.0.2": (hash = "sha256", pem = keyPem) => ({
    content: {
      payloadHash: hex(hash, PAYLOAD),
      envelope: { signatures: [{ sig: base64(base64(SIGNATURE)), publicKey: pem }] },
    },
  }),
};
type Kind = keyof typeof SPECS;
const KINDS = Object.keys(SPECS) as Kind[];
const OF_PEM = KINDS.filter((kind) => !/^(?:hashedrekord|dsse) 0\.0\.2$/.test(kind));

function bodyOf(kind: string, spec: object): Buffer {
  const [name, apiVersion] = kind.split(" ");
  return Buffer.from(JSON.stringify({ kind: name, apiVersion, spec }));
}

async function problem(body: Uint8Array, logged: Logged = LOGGED): Promise<string> {
  return await checkLogged(body, logged).then(
    () => "it holds",
    ({ code, message }) => `${code}: ${message}`,
  );
}

test.each(KINDS)("an entry of the kind %s holds with any hash", async (kind) => {
  for (const hash of ["sha256", "sha384", "sha512"])
    expect(await problem(bodyOf(kind, SPECS[kind](hash)))).toBe("it holds");
});

test.each(OF_PEM)("an entry of the kind %s may name a certificate, and one only", async (kind) => {
  const logged = { ...LOGGED, verifier: CERTIFICATE };
  const of = (pem: string) => bodyOf(kind, SPECS[kind]("sha256", pem));
  expect(await problem(of(certificatePem), logged)).toBe("it holds");
  const others = [
    keyPem,
    base64(pemOf("CERTIFICATE", CERTIFICATE) + pemOf("CERTIFICATE", CERTIFICATE)),
    base64("no PEM"),
    base64(pemOf("PUBLIC KEY", Buffer.of(0))),
    "*",
  ];
  for (const other of others)
    expect(await problem(of(other), logged)).toBe(
      "UNTRUSTED: its log entry is of another key or certificate",
    );
});

test.each(["hashedrekord", "dsse"])(
  "an entry of %s in the second version may name a certificate",
  async (name) => {
    const signature = v2({ x509Certificate: { rawBytes: base64(CERTIFICATE) } });
    const body =
      name === "dsse"
        ? { dsseV002: { payloadHash: protobuf("sha256", PAYLOAD), signatures: [signature] } }
        : { hashedRekordV002: { data: protobuf("sha256", SIGNED), signature } };
    expect(await problem(bodyOf(`${name} 0.0.2`, body), { ...LOGGED, verifier: CERTIFICATE })).toBe(
      "it holds",
    );
    expect(await problem(bodyOf(`${name} 0.0.2`, body))).toMatch(/another key or certificate/);
  },
);

test.each(KINDS)("an entry of the kind %s is of one content, signature and key", async (kind) => {
  const body = bodyOf(kind, SPECS[kind]());
  const other = bytesMessage(Buffer.from("other"));
  const content = "UNTRUSTED: its log entry is of other content: the digest does not match";
  expect(await problem(body, { ...LOGGED, signed: other, payload: other, envelope: other })).toBe(content);
  if (!kind.startsWith("hashedrekord"))
    expect(await problem(body, { ...LOGGED, payload: undefined, envelope: undefined })).toBe(content);
  const hasSignature = kind !== "intoto 0.0.1";
  expect(await problem(body, { ...LOGGED, signature: Buffer.from("other") })).toBe(
    hasSignature ? "UNTRUSTED: its log entry is of another signature" : "it holds",
  );
  expect(await problem(body, { ...LOGGED, verifier: spkiOf(newKey().publicKey) })).toBe(
    "UNTRUSTED: its log entry is of another key or certificate",
  );
});

test.each(KINDS)(
  "an entry of the kind %s without a part, or with one of another type, holds nothing",
  async (kind) => {
    /** Every change of one member, at any depth. */
    function* changes(value: unknown): Generator<unknown> {
      if (typeof value !== "object" || value === null) return;
      for (const [name, inner] of Object.entries(value)) {
        const put = (it: unknown) =>
          Array.isArray(value)
            ? value.map((old, i) => (String(i) === name ? it : old))
            : { ...value, [name]: it };
        yield put(undefined);
        yield put(1);
        yield put("AAAA");
        yield put([inner, inner]);
        for (const it of changes(inner)) yield put(it);
      }
    }
    for (const spec of changes(SPECS[kind]()))
      expect(await problem(bodyOf(kind, spec as object))).toMatch(
        /^UNTRUSTED: its log entry is of (?:other|another) /,
      );
  },
);

test.each([
  ["sha1", "ab".repeat(20)],
  ["sha256", "ab".repeat(31)],
  ["sha256", `${"ab".repeat(31)}AB`],
  ["sha256", `${"ab".repeat(31)}x0`],
])("a digest by %s of %s is none", async (algorithm, value) => {
  const spec = { ...SPECS["hashedrekord 0.0.1"](), data: { hash: { algorithm, value } } };
  expect(await problem(bodyOf("hashedrekord 0.0.1", spec))).toMatch(/of other content/);
});

test.each([
  ["{", /^UNTRUSTED: its log entry is malformed: .+/],
  ["[]", /of the unsupported kind "\? \?"$/],
  ['{"kind":"dsse"}', /of the unsupported kind "dsse \?"$/],
  ['{"kind":"rpm","apiVersion":"0.0.1"}', /of the unsupported kind "rpm 0\.0\.1"$/],
])("the entry %s is refused", async (text, message) => {
  expect(await problem(Buffer.from(text))).toMatch(message);
});
