import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { describe, expect, test } from "vitest";
import root from "../../../../src/trust/check/public-good-root.json" with { type: "json" };
import { readTrustedRoot } from "../../../../src/trust/check/trusted-root.ts";
import { Sigstore } from "../../../support/sigstore.ts";

const read = (value: unknown) => readTrustedRoot({ name: "root", bytes: Buffer.from(JSON.stringify(value)) });

test("the public instance's root is the one that Sigstore's own client begins with", () => {
  const seeds = JSON.parse(
    readFileSync(createRequire(import.meta.url).resolve("@sigstore/tuf/seeds.json"), "utf8"),
  );
  const { targets } = seeds["https://tuf-repo-cdn.sigstore.dev"];
  expect(root).toEqual(JSON.parse(Buffer.from(targets["trusted_root.json"], "base64").toString()));
  const { logs, authorities, certificateLogs, timestampAuthorities } = read(root);
  for (const list of [logs, authorities, certificateLogs, timestampAuthorities])
    expect(list).not.toHaveLength(0);
});

test("a key's details that can't become a text do not count", () => {
  const right = new Sigstore().trustedRoot();
  const [log] = right.tlogs;
  const publicKey = { ...log?.publicKey, keyDetails: { toString: 1, valueOf: 1 } };
  expect(read({ ...right, tlogs: [{ ...log, publicKey }] }).logs).toHaveLength(1);
});

describe("a trusted root is refused", () => {
  const right = new Sigstore().trustedRoot();
  const [log] = right.tlogs;
  test.each<[string, unknown]>([
    ["without a media type", { ...right, mediaType: undefined }],
    [
      "with a log that was trusted since ever",
      { ...right, tlogs: [{ ...log, publicKey: { ...log?.publicKey, validFor: {} } }] },
    ],
    [
      "with a time that is none",
      { ...right, tlogs: [{ ...log, publicKey: { ...log?.publicKey, validFor: { start: "soon" } } }] },
    ],
    ["with a log without a name", { ...right, tlogs: [{ ...log, logId: {} }] }],
    [
      "with an authority without certificates",
      { ...right, certificateAuthorities: [{ certChain: { certificates: [] } }] },
    ],
    [
      "with a certificate that is none",
      { ...right, certificateAuthorities: [{ certChain: { certificates: [{ rawBytes: "AAAA" }] } }] },
    ],
    ["that is a list", []],
    ["that is null", null],
    ["whose logs are not a list", { ...right, tlogs: { 0: log } }],
    ["with a log that is not an object", { ...right, tlogs: [null] }],
  ])("%s", (_what, value) => {
    expect(() => read(value)).toThrow(/is not a trusted root/);
  });
  test("but a log with a key of another kind is passed over", () => {
    const odd = { ...log, publicKey: { ...log?.publicKey, rawBytes: "AAAA" } };
    expect(read({ ...right, tlogs: [odd, log] }).logs).toHaveLength(1);
  });
});
