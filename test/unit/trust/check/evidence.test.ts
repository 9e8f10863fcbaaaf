import { describe, expect, test } from "vitest";
import { bundleEvidence, plainEvidence, readCertificateFile } from "../../../../src/trust/check/evidence.ts";
import { bytesMessage } from "../../../../src/trust/check/message.ts";
import { certificate, newKey, pemOf, Sigstore } from "../../../support/sigstore.ts";
import { trustFile } from "./demand.ts";

const store = new Sigstore();
const [root, intermediate] = [store.rootCertificate, store.intermediateCertificate];
const pem = (...ders: readonly Uint8Array[]) => ders.map((der) => pemOf("CERTIFICATE", der)).join("");
const evidence = (material: Parameters<typeof plainEvidence>[2]) =>
  plainEvidence(bytesMessage(new Uint8Array()), new Uint8Array(), material);

describe("what cosign 2 puts beside a signature", () => {
  test("is a certificate, its chain and a timestamp, each if it is there", () => {
    const SignedRFC3161Timestamp = Buffer.from("stamp").toString("base64");
    const all = evidence({
      certificate: pem(intermediate),
      chain: pem(root, intermediate),
      timestamp: JSON.stringify({ SignedRFC3161Timestamp }),
    });
    expect(all).toMatchObject({ format: "plain", madeWith: "any" });
    expect([all.certificate?.der, all.chain.map(({ der }) => der)]).toEqual([
      intermediate,
      [root, intermediate],
    ]);
    expect(all.timestamps.map((it) => Buffer.from(it).toString())).toEqual(["stamp"]);
    const none = evidence({});
    expect([none.certificate, none.chain, none.timestamps]).toEqual([undefined, [], []]);
  });

  test.each<[string, Parameters<typeof plainEvidence>[2], string]>([
    ["two certificates", { certificate: pem(intermediate, root) }, "not one PEM certificate"],
    ["no certificate", { certificate: "" }, "not one PEM certificate"],
    ["a key", { certificate: pemOf("PUBLIC KEY", root) }, "its certificate is not well-formed PEM"],
    [
      "what is not base64",
      { chain: "-----BEGIN CERTIFICATE-----\n*\n-----END CERTIFICATE-----\n" },
      "its certificate is not well-formed PEM",
    ],
    ["a timestamp that is not JSON", { timestamp: "{" }, "its timestamp is malformed: it is not JSON"],
    ["a timestamp that is a list", { timestamp: "[]" }, "it has no SignedRFC3161Timestamp"],
    ["a timestamp without one", { timestamp: "{}" }, "it has no SignedRFC3161Timestamp"],
    [
      "a timestamp that is not base64",
      { timestamp: '{"SignedRFC3161Timestamp":"*"}' },
      "it has no SignedRFC3161Timestamp",
    ],
  ])("does not count if it is %s", (_what, material, problem) => {
    expect(() => evidence(material)).toThrow(problem);
  });

  test("has no time without an entry of a log", async () => {
    await expect(evidence({}).logTimes({} as never, [], {} as never)).rejects.toThrow(
      "it has no transparency log entry",
    );
  });
});

describe("a bundle", () => {
  const CONTENT = { kind: "message", hash: "sha256", digest: new Uint8Array() } as const;
  const bundle = (certificates: readonly Uint8Array[] | undefined) =>
    ({ content: CONTENT, signature: new Uint8Array(), certificates, timestamps: [] }) as never;

  test("may bring the certificate and intermediates, and no root", () => {
    const file = bytesMessage(new Uint8Array());
    const key = newKey();
    const leaf = certificate({
      ...{ subject: "leaf", issuer: "intermediate", key: key.publicKey },
      signer: store.intermediate.privateKey,
      extensions: [],
    });
    const read = bundleEvidence(bundle([leaf, intermediate]), file);
    expect(read).toMatchObject({ format: "bundle", madeWith: "certificate" });
    expect([read.certificate?.der, read.chain.map(({ der }) => der)]).toEqual([leaf, [intermediate]]);
    expect(bundleEvidence(bundle(undefined), file)).toMatchObject({ madeWith: "key", chain: [] });
    // A certificate that signs itself may be the one that a policy pins.
    expect(bundleEvidence(bundle([root]), file).certificate?.der).toEqual(root);
    expect(() => bundleEvidence(bundle([leaf, intermediate, root]), file)).toThrow(
      "its bundle brings a root certificate of its own",
    );
  });

  test("of a file is not one of an image", () => {
    expect(() => bundleEvidence(bundle(undefined))).toThrow("its bundle is of a file");
  });
});

test("a file of certificates has at least one", () => {
  const ders = (text: string) => readCertificateFile(trustFile("ca.pem", text)).map(({ der }) => der);
  expect(ders(pem(root, intermediate))).toEqual([root, intermediate]);
  expect(() => ders("")).toThrow("ca.pem has no certificate");
});
