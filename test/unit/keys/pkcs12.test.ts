import { execFileSync } from "node:child_process";
import { createPrivateKey } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, onTestFinished, test, vi } from "vitest";
import { PieceBudget } from "../../../src/budget.ts";
import { TAG, writeElement, writeInteger, writeOid } from "../../../src/encoding/der.ts";
import { KeyCollector } from "../../../src/keys/collector.ts";
import { openPkcs12 } from "../../../src/keys/pkcs12.ts";
import { Secret } from "../../../src/secret.ts";
import { derPlaces, EDITS } from "../../support/der-edits.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const folder = temporaryFolder();
const path = (name: string) => join(folder, name);
const openssl = (...args: string[]) => execFileSync("openssl", args, { cwd: folder, stdio: "pipe" });
const read = (name: string) => new Uint8Array(readFileSync(path(name)));
let pkcs8: Buffer;

beforeAll(() => {
  openssl(
    "req",
    "-x509",
    "-newkey",
    "rsa:2048",
    "-nodes",
    "-subj",
    "/CN=x",
    "-keyout",
    "key.pem",
    "-out",
    "x.crt",
  );
  pkcs8 = createPrivateKey(readFileSync(path("key.pem"))).export({ format: "der", type: "pkcs8" });
});

async function collect(data: Uint8Array<ArrayBuffer>, ...passwords: string[]): Promise<KeyCollector> {
  const collector = new KeyCollector(false);
  const secrets = passwords.map((text) => new Secret(new Uint8Array(Buffer.from(text))));
  await collector.add(data, "key.p12", secrets);
  return collector;
}

function make(password: string, ...options: string[]): Uint8Array<ArrayBuffer> {
  const files = ["-inkey", "key.pem", "-in", "x.crt", "-out", "made.p12"];
  openssl("pkcs12", "-export", "-passout", `pass:${password}`, ...files, ...options);
  return read("made.p12");
}

test.each([
  ["as OpenSSL writes it", "pässword 🔑", []],
  [
    "with 3DES, as older programs write it",
    "pässword",
    ["-keypbe", "PBE-SHA1-3DES", "-certpbe", "PBE-SHA1-3DES"],
  ],
  ["with AES-128", "p", ["-keypbe", "AES-128-CBC", "-certpbe", "AES-128-CBC"]],
  ["with the empty password", "", []],
  ["with the empty password and 3DES", "", ["-keypbe", "PBE-SHA1-3DES", "-certpbe", "PBE-SHA1-3DES"]],
  ["without encryption", "", ["-keypbe", "NONE", "-certpbe", "NONE", "-nomac"]],
])("a file is opened %s", async (_what, password, options) => {
  const { keys, certificates, skipped } = await collect(
    make(password, ...options),
    ...(password ? [password] : []),
  );
  expect(skipped).toEqual([]);
  expect(Buffer.from(keys[0]?.pkcs8.bytes ?? [])).toEqual(pkcs8);
  expect(certificates.map(({ der }) => Buffer.from(der).toString("base64"))).toEqual([
    openssl("x509", "-in", "x.crt", "-outform", "DER").toString("base64"),
  ]);
});

test("certificates in a cipher that nothing here has don't keep the key from opening", async () => {
  const options = ["-legacy", "-keypbe", "PBE-SHA1-3DES", "-certpbe", "PBE-SHA1-RC2-40"];
  const { keys, certificates } = await collect(make("x", ...options), "x");
  expect([keys.length, certificates.length]).toEqual([1, 0]);
});

test("a key in such a cipher is refused with the command that converts it", async () => {
  const { keys, skipped } = await collect(make("x", "-legacy", "-keypbe", "PBE-SHA1-RC2-40"), "x");
  expect(keys).toEqual([]);
  expect(skipped[0]?.reason).toContain("openssl pkcs12 -legacy -in FILE");
});

test("certificates alone are locked, too", async () => {
  openssl("pkcs12", "-export", "-nokeys", "-in", "x.crt", "-passout", "pass:x", "-out", "certificates.p12");
  const data = read("certificates.p12");
  expect((await collect(data, "x")).certificates).toHaveLength(1);
  const { certificates, skipped } = await collect(data);
  expect(certificates).toEqual([]);
  expect(skipped).toEqual([
    { origin: "key.p12", reason: "an encrypted key without a password for it", isLocked: true },
  ]);
});

test.each([
  ["without its password", [], "an encrypted key without a password for it"],
  ["with a wrong password", ["y"], "an encrypted key that none of the given passwords opens"],
])("a file %s is locked", async (_what, passwords, reason) => {
  const { keys, skipped } = await collect(make("x"), ...passwords);
  expect(keys).toEqual([]);
  expect(skipped).toEqual([{ origin: "key.p12", reason, isLocked: true }]);
});

const sequence = (...parts: Uint8Array[]) => writeElement(TAG.SEQUENCE, ...parts);
const octets = (bytes: Uint8Array) => writeElement(TAG.OCTET_STRING, bytes);
const integer = (number: number) => writeInteger(Uint8Array.from([24, 16, 8, 0], (bits) => number >>> bits));
const data = (bytes: Uint8Array) =>
  sequence(writeOid("2a864886f70d010701"), writeElement(TAG.CONTEXT_0, octets(bytes)));

/** A file with a key in its last part, whose last bag it is. The other parts and bags are empty. */
function withParts(parts: number, bags: number): Uint8Array<ArrayBuffer> {
  const key = sequence(writeOid("2a864886f70d010c0a0101"), writeElement(TAG.CONTEXT_0, pkcs8));
  const others = Array<Uint8Array>(bags - 1).fill(sequence());
  const list = [...Array<Uint8Array>(parts - 1).fill(data(sequence())), data(sequence(...others, key))];
  return sequence(integer(3), data(sequence(...list)));
}

test("a file has at most 64 parts with at most 64 bags each", async () => {
  const keys = async (parts: number, bags: number) => (await collect(withParts(parts, bags))).keys.length;
  expect(await keys(64, 64)).toBe(1);
  expect(await keys(65, 1)).toBe(0);
  expect(await keys(1, 65)).toBe(0);
});

/** A file whose only key is encrypted with 3DES, after so many iterations. Its ciphertext is not valid. */
function withIterations(iterations: number): Uint8Array<ArrayBuffer> {
  const parameters = sequence(octets(new Uint8Array(8)), integer(iterations));
  const key = sequence(sequence(writeOid("2a864886f70d010c0103"), parameters), octets(new Uint8Array(64)));
  const bag = sequence(writeOid("2a864886f70d010c0a0102"), writeElement(TAG.CONTEXT_0, key));
  return sequence(integer(3), data(sequence(data(sequence(bag)))));
}

test("500,000 iterations are tried if there is time, and no more at all", async () => {
  const spent = { passwords: [], budget: new PieceBudget({ cpuMs: -1 }) };
  const outcome = (iterations: number) => openPkcs12(withIterations(iterations), spent);
  expect((await collect(withIterations(1))).skipped[0]?.reason).toBe(
    "an encrypted key without a password for it",
  );
  expect(await outcome(500_000)).toMatchObject({ keys: [{ reason: expect.stringContaining("not tried") }] });
  expect(await outcome(500_001)).toMatchObject({ keys: [{ reason: expect.stringContaining("outdated") }] });
});

test("every cut is refused", async () => {
  const whole = make("x", "-keypbe", "NONE", "-certpbe", "NONE");
  for (let length = 0; length < whole.length; length += 31)
    expect((await collect(whole.slice(0, length), "x")).keys).toEqual([]);
});

describe("the structure of a file", () => {
  type Bytes = Uint8Array<ArrayBuffer>;
  const CERTIFICATE = Uint8Array.of(1, 2, 3);
  const tagged = (bytes: Uint8Array) => writeElement(TAG.CONTEXT_0, bytes);
  const fileOf = (parts: Uint8Array) => sequence(integer(3), data(parts));
  const PART = "2a864886f70d010706";
  /** A key bag, a certificate bag, and a bag of another kind. */
  const bags = () =>
    sequence(
      sequence(writeOid("2a864886f70d010c0a0101"), tagged(pkcs8)),
      sequence(
        writeOid("2a864886f70d010c0a0103"),
        tagged(sequence(writeOid("2a864886f70d01091601"), tagged(octets(CERTIFICATE)))),
      ),
      sequence(writeOid("2a03"), tagged(octets(CERTIFICATE))),
    );
  /** An encrypted part, and a key that is encrypted by itself, in a cipher that nothing here has. */
  const encryptedPart = (algorithm: Uint8Array) =>
    sequence(
      sequence(
        writeOid(PART),
        tagged(
          sequence(
            integer(0),
            sequence(writeOid("2a864886f70d010701"), algorithm, writeElement(0x80, new Uint8Array(64))),
          ),
        ),
      ),
    );
  const shrouded = (algorithm: Uint8Array) =>
    sequence(
      sequence(writeOid("2a864886f70d010c0a0102"), tagged(sequence(algorithm, octets(new Uint8Array(64))))),
    );
  const TRIPLE_DES = () =>
    sequence(writeOid("2a864886f70d010c0103"), sequence(octets(new Uint8Array(8)), integer(1)));

  async function outcome(file: Bytes): Promise<string> {
    const passwords = [new Secret(new Uint8Array(Buffer.from("x")))];
    const found = await openPkcs12(file, { passwords, budget: new PieceBudget({ cpuMs: 10_000 }) });
    const short = (reason: string) => reason.replace(/ \(to convert.*/, "").replace(/^an? /, "");
    if ("reason" in found) return short(found.reason);
    const keys = found.keys.map((it) =>
      "reason" in it ? short(it.reason) : `${it.length > 1000 ? "a" : "a cut"} key`,
    );
    return [...keys, ...found.certificates.map((it) => `certificate of ${it.length}`)].join(", ");
  }

  /** What becomes of each edit that matters. */
  async function outcomes(der: Bytes, wrap: (it: Bytes) => Bytes) {
    const whole = await outcome(wrap(der));
    const found: Record<string, string> = { whole };
    for (const place of derPlaces(der))
      for (const [name, edit] of Object.entries(EDITS)) {
        const result = await outcome(wrap(place.with(...edit(place.element))));
        if (result === whole) continue;
        const key = `${name}: ${result}`;
        found[key] = found[key] === undefined ? place.path : `${found[key]} ${place.path}`;
      }
    return found;
  }

  test("is that of its parts", async () => {
    expect(await outcomes(fileOf(sequence(data(bags()))), (it) => it)).toEqual({
      "doubled: DER, but neither a private key nor a certificate": "0",
      "doubled: PKCS#12 file in a form that is not supported": "1.0 1.1.0",
      "emptied: DER, but neither a private key nor a certificate": "0",
      "emptied: PKCS#12 file in a form that is not supported": "1 1.0 1.1 1.1.0",
      "removed: DER, but neither a private key nor a certificate": "0 1",
      "removed: PKCS#12 file in a form that is not supported": "1.0 1.1 1.1.0",
      "retagged: DER, but neither a private key nor a certificate": "0 1",
      "retagged: PKCS#12 file in a form that is not supported": "1.0 1.1 1.1.0",
      whole: "a key, certificate of 3",
    });
  });

  test("of each part is that of its bags", async () => {
    expect(await outcomes(sequence(data(bags())), fileOf)).toEqual({
      "doubled: PKCS#12 file encrypted in an outdated way": "0.0 0.1.0",
      "doubled: a key, a key, certificate of 3, certificate of 3": "0",
      "emptied: PKCS#12 file encrypted in an outdated way": "0 0.0 0.1 0.1.0",
      "removed: PKCS#12 file encrypted in an outdated way": "0 0.0 0.1 0.1.0",
      "retagged: PKCS#12 file encrypted in an outdated way": "0.0 0.1 0.1.0",
      whole: "a key, certificate of 3",
    });
  });

  test("of a bag of a certificate is read to its end", async () => {
    const [, bag] = derPlaces(bags()).filter(({ path }) => /^\d$/.test(path));
    const wrap = (it: Bytes) => fileOf(sequence(data(sequence(it))));
    expect(await outcomes(bag?.element.whole.slice() ?? new Uint8Array(), wrap)).toEqual({
      "doubled: PKCS#12 file encrypted in an outdated way": "0 1.0.0 1.0.1.0",
      "emptied: PKCS#12 file encrypted in an outdated way": "0 1 1.0 1.0.1",
      "emptied: certificate of 0": "1.0.1.0",
      "removed: PKCS#12 file encrypted in an outdated way": "0 1 1.0 1.0.0 1.0.1 1.0.1.0",
      "retagged: PKCS#12 file encrypted in an outdated way": "0 1.0.1.0",
      whole: "certificate of 3",
    });
  });

  test("of an encrypted part is read to its end", async () => {
    expect(await outcomes(encryptedPart(TRIPLE_DES()), fileOf)).toEqual({
      "doubled: PKCS#12 file encrypted in an outdated way":
        "0.0 0.1.0 0.1.0.0 0.1.0.1.0 0.1.0.1.1 0.1.0.1.1.0 0.1.0.1.1.1.0",
      "emptied: PKCS#12 file encrypted in an outdated way":
        "0 0.0 0.1 0.1.0 0.1.0.1 0.1.0.1.1 0.1.0.1.1.0 0.1.0.1.1.1 0.1.0.1.1.1.1",
      "removed: PKCS#12 file encrypted in an outdated way":
        "0 0.0 0.1 0.1.0 0.1.0.0 0.1.0.1 0.1.0.1.0 0.1.0.1.1 0.1.0.1.1.0 0.1.0.1.1.1 0.1.0.1.1.1.0 0.1.0.1.1.1.1 0.1.0.1.2",
      "retagged: PKCS#12 file encrypted in an outdated way":
        "0.0 0.1 0.1.0 0.1.0.1.1.0 0.1.0.1.1.1.0 0.1.0.1.1.1.1 0.1.0.1.2",
      whole: "encrypted key that none of the given passwords opens",
    });
  });

  test("of an encrypted key is read to its end", async () => {
    expect(await outcomes(shrouded(TRIPLE_DES()), (it) => fileOf(sequence(data(it))))).toEqual({
      "doubled: PKCS#12 file encrypted in an outdated way": "0.0 0.1.0.0.0 0.1.0.0.1.0",
      "doubled: PKCS#12 file in a form that is not supported": "0.1.0.0",
      "doubled: encrypted key that none of the given passwords opens, encrypted key that none of the given passwords opens":
        "0",
      "emptied: PKCS#12 file encrypted in an outdated way":
        "0 0.0 0.1 0.1.0.0 0.1.0.0.0 0.1.0.0.1 0.1.0.0.1.1",
      "emptied: PKCS#12 file in a form that is not supported": "0.1.0",
      "removed: PKCS#12 file encrypted in an outdated way":
        "0 0.0 0.1 0.1.0 0.1.0.0.0 0.1.0.0.1 0.1.0.0.1.0 0.1.0.0.1.1",
      "removed: PKCS#12 file in a form that is not supported": "0.1.0.0 0.1.0.1",
      "retagged: PKCS#12 file encrypted in an outdated way": "0.0 0.1.0.0.0 0.1.0.0.1.0 0.1.0.0.1.1",
      "retagged: PKCS#12 file in a form that is not supported": "0.1.0.1",
      whole: "encrypted key that none of the given passwords opens",
    });
  });
});

test("no copy of a password stays in memory", async () => {
  const password = "a password of several blocks ".repeat(5);
  const text = Buffer.from(`${password}\0`, "utf16le").swap16();
  const copies: Buffer[] = [];
  const [from, concat] = [vi.spyOn(Buffer, "from"), vi.spyOn(Buffer, "concat")];
  onTestFinished(() => {
    from.mockRestore();
    concat.mockRestore();
  });
  await collect(withIterations(1), password);
  for (const { value } of [...from.mock.results, ...concat.mock.results])
    if (value instanceof Buffer) copies.push(value);
  expect(copies.length).toBeGreaterThan(2);
  expect(copies.filter((it) => it.includes(text.subarray(0, 40)))).toEqual([]);
});
