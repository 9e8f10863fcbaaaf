import { mkdirSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parseCertificate } from "../../../src/trust/check/x509.ts";
import { certificateFindings, clockFindings, rootFindings } from "../../../src/trust/validity.ts";
import { isCa, newKey, certificate as sign } from "../../support/sigstore.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const at = (day: string) => Date.parse(`${day}T12:00:00Z`);
const key = newKey();

function certificate(from: string, to: string) {
  return sign({
    ...{ subject: "authority", issuer: "authority", key: key.publicKey, signer: key.privateKey },
    ...{ notBefore: at(from), notAfter: at(to), extensions: [isCa()] },
  });
}

/** @param authorities for each, the days of its certificate and of its entry in the file */
function root(...authorities: readonly { days: readonly [string, string]; end?: string }[]) {
  const value = {
    mediaType: "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
    certificateAuthorities: authorities.map(({ days, end }) => ({
      certChain: { certificates: [{ rawBytes: Buffer.from(certificate(...days)).toString("base64") }] },
      validFor: { start: "2020-01-01T00:00:00Z", ...(end !== undefined && { end: `${end}T12:00:00Z` }) },
    })),
  };
  return { name: "root.json", bytes: new Uint8Array(Buffer.from(JSON.stringify(value))) };
}

const OLD = { days: ["2021-01-01", "2023-01-01"] } as const;
const CURRENT = { days: ["2022-01-01", "2026-03-31"] } as const;
const messages = (findings: readonly { severity: string; message: string }[]) =>
  findings.map(({ severity, message }) => `${severity}: ${message}`);

describe("a trusted root", () => {
  it.each([
    ["with an authority for years", [OLD, CURRENT], "2025-01-01", []],
    ["31 days before its end", [OLD, CURRENT], "2026-02-28", []],
    [
      "29 days before its end",
      [OLD, CURRENT],
      "2026-03-02",
      ["warning: root.json: its last authority ends on 2026-03-31"],
    ],
    [
      "after its end",
      [CURRENT, OLD],
      "2026-04-01",
      ["error: root.json: its last authority ended on 2026-03-31, so newer keyless signatures are refused"],
    ],
    [
      "that was closed before its certificate ends",
      [{ ...CURRENT, end: "2024-06-30" }],
      "2024-07-01",
      ["error: root.json: its last authority ended on 2024-06-30, so newer keyless signatures are refused"],
    ],
    [
      "before its beginning",
      [CURRENT, OLD],
      "2020-06-01",
      ["error: root.json: its first authority is valid from 2021-01-01 on"],
    ],
    ["without authorities", [], "2026-01-01", []],
  ])("%s", (_title, authorities, day, expected) => {
    expect(messages(rootFindings(root(...authorities), at(day)))).toEqual(expected);
  });
});

describe("the times of a trusted root", () => {
  const DAY = 24 * 3_600_000;
  const severities = (now: number) => rootFindings(root(CURRENT), now).map(({ severity }) => severity);

  it("include its authority's first and last moments", () => {
    const [start, end] = [at("2022-01-01"), at("2026-03-31")];
    expect([start - 1, start].map(severities)).toEqual([["error"], []]);
    expect([end, end + 1].map(severities)).toEqual([["warning"], ["error"]]);
    expect([end - 30 * DAY - 1, end - 30 * DAY].map(severities)).toEqual([[], ["warning"]]);
  });
});

describe("a certificate of a policy", () => {
  const one = [parseCertificate(certificate("2026-01-01", "2026-02-01"))];

  it.each([
    ["2025-12-31", ["warning: ca.pem is not valid before 2026-01-01"]],
    ["2026-01-15", []],
    ["2026-02-02", ["warning: ca.pem expired on 2026-02-01"]],
  ])("on %s", (day, expected) => {
    expect(messages(certificateFindings(one, "ca.pem", at(day)))).toEqual(expected);
  });

  it("counts from its beginning to its end", () => {
    const [from, to] = [at("2026-01-01"), at("2026-02-01")];
    const count = (now: number) => certificateFindings(one, "ca.pem", now).length;
    expect([from - 1, from, to, to + 1].map(count)).toEqual([1, 0, 0, 1]);
  });

  it("is counted if there are several", () => {
    const two = [...one, parseCertificate(certificate("2020-01-01", "2021-01-01"))];
    expect(messages(certificateFindings(two, "ca.pem", at("2026-01-15")))).toEqual([
      "warning: ca.pem: certificate 2 expired on 2021-01-01",
    ]);
  });
});

describe("the clock", () => {
  const folder = join(temporaryFolder(), "clock");
  const [known, missing] = [join(folder, "trust.toml"), join(folder, "missing")];
  mkdirSync(folder);
  writeFileSync(known, "");
  utimesSync(known, at("2026-05-05") / 1000, at("2026-05-05") / 1000);

  it("is right if it is later than the files, or hours behind", () => {
    expect(clockFindings([known, missing], at("2026-05-06"))).toEqual([]);
    expect(clockFindings([known, missing], at("2026-05-05") - 23 * 3_600_000)).toEqual([]);
  });

  it("may be a day behind a file, and no more", () => {
    const changed = at("2026-05-05");
    const count = (now: number) => clockFindings([known], now).length;
    expect([changed - 24 * 3_600_000, changed - 24 * 3_600_000 - 1].map(count)).toEqual([0, 1]);
  });

  it("is reported if it is days behind a file", () => {
    expect(messages(clockFindings([missing, known], at("2026-05-03")))).toEqual([
      `warning: the clock is at 2026-05-03, but ${known} was changed on 2026-05-05`,
    ]);
  });
});
