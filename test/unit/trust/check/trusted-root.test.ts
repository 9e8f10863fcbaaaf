import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { readPublicKeys } from "../../../../src/trust/check/key.ts";
import { keysOf, logsOf, trustedRootOf } from "../../../../src/trust/check/trust-files.ts";
import { isValidAt, logOfKey, readTrustedRoot } from "../../../../src/trust/check/trusted-root.ts";
import { newKey, pemOf, Sigstore, spkiOf } from "../../../support/sigstore.ts";
import { demand, trustFile } from "./demand.ts";

const store = new Sigstore();
const ROOT = store.trustedRoot();
const [TLOG] = ROOT.tlogs as [(typeof ROOT.tlogs)[number]];
const [AUTHORITY] = ROOT.certificateAuthorities as [(typeof ROOT.certificateAuthorities)[number]];
const read = (value: unknown) => readTrustedRoot(trustFile("root.json", JSON.stringify(value)));
const FOREVER = 8_640_000_000_000_000;

describe("a trusted root", () => {
  test("has logs and authorities with the times in which they were trusted", () => {
    const { logs, authorities, certificateLogs, timestampAuthorities } = read(ROOT);
    const validity = { start: Date.parse("2020-01-01T00:00:00Z"), end: FOREVER };
    const id = (key: typeof store.rekor) =>
      new Uint8Array(createHash("sha256").update(spkiOf(key.publicKey)).digest());
    expect(logs).toMatchObject([{ baseUrl: "https://rekor.test", id: id(store.rekor), validity }]);
    expect(certificateLogs).toMatchObject([{ baseUrl: "https://ct.test", id: id(store.ctLog), validity }]);
    expect(authorities).toMatchObject([
      { certificates: [{ der: store.intermediateCertificate }, { der: store.rootCertificate }], validity },
    ]);
    expect(timestampAuthorities).toMatchObject([
      { certificates: [{ der: store.stamperCertificate }, { der: store.stampRootCertificate }], validity },
    ]);
  });

  test("may lack any list, and be of either version", () => {
    for (const mediaType of [ROOT.mediaType, "application/vnd.dev.sigstore.trustedroot.v0.2+json"])
      expect(read({ mediaType })).toEqual({
        logs: [],
        authorities: [],
        certificateLogs: [],
        timestampAuthorities: [],
      });
  });

  const logWith = (change: object, key: object = {}) =>
    read({ ...ROOT, tlogs: [{ ...TLOG, publicKey: { ...TLOG.publicKey, ...key }, ...change }] }).logs;
  const times = (validFor: object | null) => logWith({}, { validFor })[0]?.validity;

  test("has times with a beginning, and perhaps an end", () => {
    const [start, end] = ["2021-02-03T04:05:06Z", "2022-02-03T04:05:06.5Z"];
    expect(times({ start, end })).toEqual({ start: Date.parse(start), end: Date.parse(end) });
    expect(times({ start, end: null })).toEqual({ start: Date.parse(start), end: FOREVER });
    const { authorities } = read({
      ...ROOT,
      certificateAuthorities: [
        { ...AUTHORITY, validFor: undefined },
        { ...AUTHORITY, validFor: { end } },
      ],
    });
    expect(authorities.map(({ validity }) => validity)).toEqual([
      { start: -FOREVER, end: FOREVER },
      { start: -FOREVER, end: Date.parse(end) },
    ]);
  });

  test("names a log by its checkpoint's key, and without an address by none", () => {
    const keyId = Buffer.from("checkpoint").toString("base64");
    expect(logWith({ checkpointKeyId: { keyId } })).toMatchObject([
      { id: new Uint8Array(Buffer.from("checkpoint")) },
    ]);
    for (const baseUrl of ["", undefined, 1]) expect(logWith({ baseUrl })[0]?.baseUrl).toBeUndefined();
  });

  test("has no log whose key is of a kind that is not used here", () => {
    const rawBytes = Buffer.from(spkiOf(newKey("secp256k1").publicKey)).toString("base64");
    expect(logWith({}, { rawBytes })).toEqual([]);
    // The bytes are an SPKI.
    expect(logWith({}, { keyDetails: "PKCS1_RSA_PKCS1V5" })).toEqual([]);
    expect(logWith({}, { keyDetails: 1 })).toHaveLength(1);
  });

  const log = (change: object) => ({ ...ROOT, tlogs: [{ ...TLOG, ...change }] });
  const logKey = (change: object) => log({ publicKey: { ...TLOG.publicKey, ...change } });
  const authority = (change: object) => ({
    ...ROOT,
    certificateAuthorities: [{ ...AUTHORITY, ...change }],
  });
  const chain = (certificates: unknown) => authority({ certChain: { certificates } });
  test.each<[string, unknown, string]>([
    ["a list", [], "it is not a JSON object"],
    ["of another type", { ...ROOT, mediaType: "x" }, "its media type is unknown"],
    ["with logs that are no list", { ...ROOT, tlogs: {} }, "its tlogs are malformed"],
    ["with a log that is no object", { ...ROOT, ctlogs: [1] }, "its ctlogs are malformed"],
    ["with a log without a key", log({ publicKey: undefined }), "its tlogs are malformed"],
    ["with a log's key that is not base64", logKey({ rawBytes: "*" }), "its tlogs are malformed"],
    ["with a log's key that is empty", logKey({ rawBytes: "" }), "its tlogs are malformed"],
    ["with a log without an ID", log({ logId: undefined }), "its tlogs are malformed"],
    ["with a log without a beginning", logKey({ validFor: undefined }), "its tlogs are malformed"],
    ["with a log's time that has no start", logKey({ validFor: {} }), "its tlogs are malformed"],
    ["with times that are no object", logKey({ validFor: 1 }), "its tlogs are malformed"],
    [
      "with a start of another form",
      logKey({ validFor: { start: "2020-01-01" } }),
      "its tlogs are malformed",
    ],
    [
      "with a start after something else",
      logKey({ validFor: { start: "x2020-01-01T00:00:00Z" } }),
      "its tlogs are malformed",
    ],
    [
      "with an end that is no time",
      logKey({ validFor: { start: "2020-01-01T00:00:00Z", end: "2020-99-01T00:00:00Z" } }),
      "its tlogs are malformed",
    ],
    [
      "with an authority without certificates",
      authority({ certChain: undefined }),
      "certificateAuthorities are",
    ],
    ["with an authority of none", chain([]), "its certificateAuthorities are malformed"],
    ["with a certificate that is no object", chain([1]), "its certificateAuthorities are malformed"],
    [
      "with a certificate that is none",
      chain([{ rawBytes: "AA==" }]),
      "its certificateAuthorities are malformed",
    ],
    ["with an authority's time that is none", authority({ validFor: 1 }), "its certificateAuthorities are"],
  ])("%s is refused", (_what, value, problem) => {
    expect(() => read(value)).toThrow(
      expect.objectContaining({
        code: "CONFIG",
        message: expect.stringMatching(/^root\.json is not a trusted root: /),
        hint: expect.stringContaining("cosign trusted-root create"),
      }),
    );
    expect(() => read(value)).toThrow(problem);
  });

  test("that is not JSON is refused", () => {
    expect(() => readTrustedRoot(trustFile("root.json", "{"))).toThrow(
      /^root\.json is not a trusted root: .+/,
    );
  });
});

test("a time counts from its start to its end", () => {
  const at = (time: number) => isValidAt({ start: 10, end: 20 }, time);
  expect([9, 10, 20, 21].map(at)).toEqual([false, true, true, false]);
});

test("a log that is known by its key is trusted at all times", () => {
  const [key] = readPublicKeys(trustFile("key.pub", pemOf("PUBLIC KEY", spkiOf(store.rekor.publicKey))));
  if (key === undefined) throw new Error("bug: there is a key");
  const [named] = read(ROOT).logs;
  expect(logOfKey(key)).toMatchObject({
    ...{ baseUrl: undefined, id: named?.id },
    validity: { start: -FOREVER, end: FOREVER },
  });
});

test("a file is parsed once", async () => {
  const pem = [newKey(), newKey()].map(({ publicKey }) => pemOf("PUBLIC KEY", spkiOf(publicKey))).join("");
  const file = trustFile("key.pub", pem);
  expect(keysOf(file)).toHaveLength(2);
  expect(keysOf(file)).toBe(keysOf(file));
  expect(keysOf({ ...file, hasOneKey: true })).toHaveLength(1);
  const leaf = demand({
    signer: { kind: "keys", keys: [] },
    trustedRoot: trustFile("root.json", JSON.stringify(ROOT)),
  });
  expect(await trustedRootOf(leaf)).toBe(await trustedRootOf(leaf));
  expect(await logsOf(leaf)).toBe((await trustedRootOf(leaf)).logs);
  const keys = await logsOf({ ...leaf, log: { need: "required", keys: [file] } });
  expect(keys.map(({ key }) => key)).toEqual(keysOf(file));
  const { trustedRoot: _, ...publicLeaf } = leaf;
  expect(await trustedRootOf(publicLeaf)).toBe(await trustedRootOf(publicLeaf));
  expect((await trustedRootOf(publicLeaf)).logs.map(({ baseUrl }) => baseUrl)).toContain(
    "https://rekor.sigstore.dev",
  );
});
