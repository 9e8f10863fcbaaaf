import { createHash, sign } from "node:crypto";
import { truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { preAuthentication } from "../../../../src/trust/check/statement.ts";
import { verifyBytes, verifyFile } from "../../../../src/trust/file/verify-file.ts";
import { hashedrekord, newKey, pemOf, Sigstore, sha256, spkiOf } from "../../../support/sigstore.ts";
import { temporaryFolder } from "../../../support/temporary.ts";
import { demand, keyless, trustFile } from "../check/demand.ts";

const folder = temporaryFolder();
const KEY = newKey();
const CONTENT = Buffer.from("a released program\n");
const leaf = demand({
  signer: { kind: "keys", keys: [trustFile("key.pub", pemOf("PUBLIC KEY", spkiOf(KEY.publicKey)))] },
});

function write(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

/** A bundle without an entry of a log. */
const bundle = (bytes: Uint8Array) =>
  JSON.stringify({
    mediaType: "application/vnd.dev.sigstore.bundle.v0.3+json",
    verificationMaterial: { publicKey: { hint: "" }, tlogEntries: [] },
    messageSignature: {
      messageDigest: { algorithm: "SHA2_256", digest: sha256(bytes).toString("base64") },
      signature: sign("sha256", bytes, KEY.privateKey).toString("base64"),
    },
  });

describe("a file's signature", () => {
  const file = write("program", CONTENT);
  const signature = sign("sha256", CONTENT, KEY.privateKey);

  test.each([
    ["base64, as cosign writes it", `${signature.toString("base64")}\n`],
    ["its bytes, as openssl writes them", signature],
  ])("counts in the form of %s", async (_what, content) => {
    const report = await verifyFile(file, { signature: write("program.sig", content) }, leaf);
    expect(report).toMatchObject({ file, signer: expect.stringMatching(/^key sha256:/) });
  });

  test.each<[string, () => Parameters<typeof verifyFile>, string, RegExp]>([
    [
      "of another file",
      () => [write("other", "x"), { signature: write("s1", signature) }, leaf],
      "UNTRUSTED",
      /the signature of .*other does not count/,
    ],
    [
      "by another key",
      () => [file, { signature: write("s2", sign("sha256", CONTENT, newKey().privateKey)) }, leaf],
      "UNTRUSTED",
      /its signature is not by/,
    ],
    [
      "that is empty",
      () => [file, { signature: write("s3", "") }, leaf],
      "UNTRUSTED",
      /does not count|empty/,
    ],
    ["that no flag names", () => [file, {}, leaf], "USAGE", /no signature is named/],
    [
      "of a file that does not exist",
      () => [join(folder, "gone"), {}, leaf],
      "NOT_FOUND",
      /can't read .*gone: /,
    ],
    ["that does not exist", () => [file, { signature: join(folder, "none") }, leaf], "NOT_FOUND", /none/],
    ["of a folder", () => [folder, { signature: write("s4", signature) }, leaf], "USAGE|IO|BAD", /./],
  ])("%s does not count", async (_what, args, code, message) => {
    const error = await verifyFile(...args()).catch((it) => it);
    expect(error).toMatchObject({ name: "DecoderError", message: expect.stringMatching(message) });
    expect(error.code).toMatch(new RegExp(code));
  });

  test("without an entry of a log, the bundle with one is advised, unless there is a bundle", async () => {
    const logged = { ...leaf, log: { ...leaf.log, need: "required" as const } };
    const hintOf = async (files: Parameters<typeof verifyFile>[1], by: typeof leaf = logged) => {
      const error = await verifyFile(file, files, by).catch((it) => it);
      expect(error).toMatchObject({ code: "UNTRUSTED" });
      return error.hint;
    };
    const files = { signature: write("unlogged.sig", signature) };
    expect(await hintOf(files)).toMatch(/its bundle, with the entry/);
    expect(await hintOf({ bundle: write("unlogged.bundle", bundle(CONTENT)) })).toBeUndefined();
    const foreign = sign("sha256", CONTENT, newKey().privateKey);
    expect(await hintOf({ signature: write("foreign.sig", foreign) }, leaf)).toBeUndefined();
  });

  test.each<[what: string, most: number, files: (path: string) => Parameters<typeof verifyFile>[1]]>([
    ["a bundle", 16_777_216, (bundle) => ({ bundle })],
    ["a signature", 16_777_216, (signature) => ({ signature })],
    ["a certificate", 1_048_576, (certificate) => ({ signature: certificate, certificate })],
    ["a chain", 1_048_576, (certificateChain) => ({ signature: certificateChain, certificateChain })],
    ["a timestamp", 1_048_576, (timestamp) => ({ signature: timestamp, timestamp })],
  ])("is not read from %s of more than %i bytes", async (what, most, files) => {
    const codeOf = async (size: number) => {
      const path = write(what, "");
      truncateSync(path, size);
      return await verifyFile(file, files(path), leaf).then(
        () => "it counts",
        ({ code }) => code,
      );
    };
    // It has only zeros.
    expect(await codeOf(most)).toBe("UNTRUSTED");
    expect(await codeOf(most + 1)).toBe("IO");
  });

  test("in a bundle over the file's digest counts, and over another's does not", async () => {
    await expect(verifyFile(file, { bundle: write("b1", bundle(CONTENT)) }, leaf)).resolves.toMatchObject({
      file,
    });
    await expect(
      verifyFile(file, { bundle: write("b2", bundle(Buffer.from("another"))) }, leaf),
    ).rejects.toThrow("its bundle is the signature of another file: the digest does not match");
  });

  test("in a bundle counts with each of SHA-2's digests, and no other", async () => {
    const outcomeOf = async (algorithm: string, hash: string) => {
      const value = JSON.parse(bundle(CONTENT));
      value.messageSignature.messageDigest = {
        algorithm,
        digest: createHash(hash).update(CONTENT).digest("base64"),
      };
      return await verifyFile(file, { bundle: write("b3", JSON.stringify(value)) }, leaf).then(
        () => "it counts",
        ({ message }) => message,
      );
    };
    for (const size of ["256", "384", "512"])
      expect(await outcomeOf(`SHA2_${size}`, `sha${size}`)).toBe("it counts");
    expect(await outcomeOf("SHA2_384", "sha256")).toMatch(/the digest does not match$/);
    expect(await outcomeOf("SHA3_256", "sha3-256")).toMatch(
      /its message digest is of an unsupported algorithm$/,
    );
  });
});

describe("the bundle of cosign 2", () => {
  const file = write("old", CONTENT);
  const signature = sign("sha256", CONTENT, KEY.privateKey).toString("base64");
  const store = new Sigstore();
  const pem = pemOf("CERTIFICATE", store.leaf(KEY.publicKey));
  const entry = store.signedEntry(hashedrekord(CONTENT, Buffer.from(signature, "base64"), pem));
  const rekorBundle = JSON.parse(entry);
  const cert = Buffer.from(pem).toString("base64");
  const by = keyless(store.trustedRoot());
  let number = 0;

  async function outcome(value: object | string, demanded = by, beside: object = {}) {
    const text = typeof value === "string" ? value : JSON.stringify(value);
    const files = { bundle: write(`old-${number++}.bundle`, text), ...beside };
    return await verifyFile(file, files, demanded).then(
      ({ signer }) => signer,
      ({ code, message }) => `${code}: ${message}`,
    );
  }

  test("counts with its certificate, as PEM or base64 of it, and its log entry", async () => {
    const counts = "certificate of dev@example.test (issuer https://issuer.example.test)";
    expect(await outcome({ base64Signature: signature, cert, rekorBundle })).toBe(counts);
    expect(await outcome({ base64Signature: signature, cert: pem, rekorBundle })).toBe(counts);
    expect(await outcome({ base64Signature: signature, cert })).toMatch(/no transparency log entry/);
    expect(await outcome({ base64Signature: signature, rekorBundle })).toMatch(/it has no certificate/);
    const certificate = write("old.pem", pem);
    expect(await outcome({ base64Signature: signature, rekorBundle }, by, { certificate })).toBe(counts);
  });

  test("counts by a key, which may stand in the certificate's place", async () => {
    const publicKey = Buffer.from(pemOf("PUBLIC KEY", spkiOf(KEY.publicKey))).toString("base64");
    for (const it of [{}, { cert: "" }, { cert: publicKey }])
      expect(await outcome({ base64Signature: signature, ...it }, leaf)).toMatch(/^key sha256:/);
  });

  test("may hold an envelope", async () => {
    const payload = Buffer.from(
      JSON.stringify({
        _type: "https://in-toto.io/Statement/v1",
        subject: [{ digest: { sha256: sha256(CONTENT).toString("hex") } }],
        predicateType: "https://sigstore.dev/cosign/sign/v1",
      }),
    );
    const payloadType = "application/vnd.in-toto+json";
    const sig = sign("sha256", preAuthentication({ payloadType, payload }), KEY.privateKey);
    const envelope = JSON.stringify({
      ...{ payloadType, payload: payload.toString("base64") },
      signatures: [{ sig: sig.toString("base64") }],
    });
    expect(await outcome({ base64Signature: Buffer.from(envelope).toString("base64") }, leaf)).toMatch(
      /^key /,
    );
    const alone = { signature: write("old.envelope", envelope) };
    expect(await verifyFile(file, alone, leaf)).toMatchObject({ signer: expect.stringMatching(/^key /) });
  });

  test.each<[object | string, RegExp]>([
    [{ base64Signature: 1 }, /malformed: its members are not those of a bundle by cosign 2$/],
    [{ base64Signature: "*" }, /malformed: its members are not those of a bundle by cosign 2$/],
    [
      { base64Signature: signature, cert: 1 },
      /malformed: its members are not those of a bundle by cosign 2$/,
    ],
    ["[]", /malformed: it is not a JSON object$/],
    ["{", /malformed: .+/],
  ])("is malformed as %j", async (value, message) => {
    expect(await outcome(value, leaf)).toMatch(message);
  });

  test("and no other may be named with a certificate or a signature", async () => {
    const other = { signature: write("beside.sig", signature) };
    expect(await outcome({ base64Signature: signature }, leaf, other)).toMatch(/^key /);
    const timestamp = write("beside.json", "{}");
    for (const beside of [other, { certificate: timestamp }, { certificateChain: timestamp }, { timestamp }])
      expect(await outcome(bundle(CONTENT), leaf, beside)).toMatch(/^USAGE: .*name the bundle alone$/);
  });
});

test("bytes in memory are verified under their name", async () => {
  const signature = write("memory.sig", sign("sha256", CONTENT, KEY.privateKey));
  const verify = (bytes: Uint8Array) => verifyBytes({ name: "a release", bytes }, { signature }, leaf);
  expect(await verify(CONTENT)).toMatchObject({ file: "a release", signer: expect.stringMatching(/^key /) });
  await expect(verify(Buffer.from("another"))).rejects.toThrow("the signature of a release does not count: ");
});

test("a key that can't be used is an error of its own", async () => {
  const signature = write("unused.sig", sign("sha256", CONTENT, KEY.privateKey));
  const broken = demand({ signer: { kind: "keys", keys: [trustFile("key.pub", "junk")] } });
  const file = write("unused", CONTENT);
  await expect(verifyFile(file, { signature }, broken)).rejects.toMatchObject({ code: "BAD_KEY" });
});

describe("a file's attestation", () => {
  const file = write("attested", CONTENT);
  const [SPDX, SLSA] = ["https://spdx.dev/Document", "https://slsa.dev/provenance/v1"];
  const SIGN = "https://sigstore.dev/cosign/sign/v1";

  function attestation(predicateType: string, content: Uint8Array = CONTENT): string {
    const subject = [{ name: "attested", digest: { sha256: sha256(content).toString("hex") } }];
    const statement = { _type: "https://in-toto.io/Statement/v1", subject, predicateType, predicate: {} };
    const payload = Buffer.from(JSON.stringify(statement));
    const payloadType = "application/vnd.in-toto+json";
    const sig = sign("sha256", preAuthentication({ payloadType, payload }), KEY.privateKey);
    return JSON.stringify({
      mediaType: "application/vnd.dev.sigstore.bundle.v0.3+json",
      verificationMaterial: { publicKey: { hint: "" }, tlogEntries: [] },
      dsseEnvelope: {
        payload: payload.toString("base64"),
        payloadType,
        signatures: [{ sig: sig.toString("base64") }],
      },
    });
  }

  async function outcome(bundle: string, predicateType?: string) {
    const asked =
      predicateType === undefined
        ? leaf
        : { ...leaf, statement: { kind: "attestation" as const, predicateType } };
    return await verifyFile(file, { bundle: write("attestation", bundle) }, asked).then(
      ({ statement }) => JSON.parse(Buffer.from(statement ?? Buffer.from("{}")).toString()).predicateType,
      ({ code, message }) => `${code}: ${message}`,
    );
  }

  test("counts if it is of the type that is asked for", async () => {
    expect(await outcome(attestation(SPDX), SPDX)).toBe(SPDX);
    expect(await outcome(attestation(SLSA), SPDX)).toMatch(
      /^UNTRUSTED: .*its predicate type is .*provenance/,
    );
    expect(await outcome(attestation(SIGN), SPDX)).toMatch(/^UNTRUSTED: .*a signature, not an attestation/);
    expect(await outcome(attestation(SPDX, Buffer.from("another")), SPDX)).toMatch(/^UNTRUSTED: /);
  });

  test("is nothing that a signature of the file stands for", async () => {
    expect(await outcome(bundle(CONTENT), SPDX)).toMatch(
      /^UNTRUSTED: the attestation of .* does not count: it is a signature, not an attestation$/,
    );
    const signature = write("attested.sig", sign("sha256", CONTENT, KEY.privateKey));
    const statement = { kind: "attestation", predicateType: SPDX } as const;
    await expect(verifyFile(file, { signature }, { ...leaf, statement })).rejects.toThrow(
      "it is a signature, not an attestation",
    );
  });

  test("is no signature", async () => {
    expect(await outcome(attestation(SPDX))).toMatch(/^UNTRUSTED: .*an attestation .*, not a signature/);
    expect(await outcome(attestation(SIGN))).toBeUndefined();
  });
});
