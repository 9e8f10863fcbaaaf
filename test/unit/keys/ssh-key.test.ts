import { execFileSync } from "node:child_process";
import { createPrivateKey, createPublicKey, generateKeyPairSync } from "node:crypto";
import { copyFileSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { KeyCollector } from "../../../src/keys/collector.ts";
import { ecKey } from "../../../src/keys/private-key.ts";
import { parsePublicKey } from "../../../src/keys/public-key.ts";
import { parseSshPrivateKey, parseSshPublicKey } from "../../../src/keys/ssh-key.ts";
import { thumbprint, thumbprintOf } from "../../../src/keys/thumbprint.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const folder = temporaryFolder();
const read = (path: string) => new Uint8Array(readFileSync(path));

function generate(name: string, ...args: string[]): string {
  const path = join(folder, name);
  execFileSync("ssh-keygen", ["-q", "-C", "a comment", "-f", path, ...args]);
  return path;
}

async function collect(path: string) {
  const collector = new KeyCollector(false);
  await collector.add(read(path), "key", []);
  return collector;
}

describe.each([
  ["rsa", ["-t", "rsa", "-b", "2048"]],
  ["p256", ["-t", "ecdsa", "-b", "256"]],
  ["p384", ["-t", "ecdsa", "-b", "384"]],
  ["p521", ["-t", "ecdsa", "-b", "521"]],
] as const)("OpenSSH keys, %s", (name, args) => {
  test("both halves are read as what ssh-keygen says they are", async () => {
    const path = generate(name, "-N", "", ...args);
    const spki = execFileSync("ssh-keygen", ["-e", "-m", "PKCS8", "-f", `${path}.pub`]);
    const expected = thumbprint({ ...createPublicKey(spki).export({ format: "jwk" }) });
    const { keys } = await collect(path);
    expect(keys.map(thumbprintOf)).toEqual([expected]);
    // OpenSSL computes without the Chinese remainders where they are wrong, so that a layer would open anyway.
    const copy = join(folder, `${name}.copy`);
    copyFileSync(path, copy);
    execFileSync("ssh-keygen", ["-p", "-q", "-m", "PKCS8", "-P", "", "-N", "", "-f", copy]);
    const [pkcs8] = keys.map((key) => Buffer.from(key.pkcs8.bytes));
    const ours = createPrivateKey({ key: pkcs8 ?? Buffer.alloc(0), format: "der", type: "pkcs8" });
    expect(ours.export({ format: "jwk" })).toEqual(
      createPrivateKey(readFileSync(copy)).export({ format: "jwk" }),
    );
    const { jwk } = parsePublicKey(read(`${path}.pub`), { scheme: "jwe", file: "key" });
    expect(thumbprint(jwk)).toBe(expected);
  });
});

test("an encrypted key is refused with the command that converts it", async () => {
  const path = generate("locked", "-t", "ecdsa", "-N", "secret");
  const { keys, skipped } = await collect(path);
  expect(keys).toEqual([]);
  expect(skipped[0]?.reason).toContain("ssh-keygen -p -m PKCS8");
});

test("an Ed25519 key can't open layers", async () => {
  const path = generate("ed", "-t", "ed25519", "-N", "");
  expect((await collect(path)).skipped[0]?.reason).toMatch(/type that can't open layers/);
  expect(() => parsePublicKey(read(`${path}.pub`), { scheme: "jwe", file: "key" })).toThrow(
    /is an SSH key of type ssh-ed25519, which can only sign/,
  );
});

test("every cut of a key is refused", async () => {
  const path = generate("cut", "-t", "ecdsa", "-N", "");
  const [, base64 = ""] = /-----\n([\s\S]*?)-----END/.exec(readFileSync(path, "utf8")) ?? [];
  const body = Buffer.from(base64, "base64");
  for (let length = 0; length < body.length - 40; length += 7) {
    const text = `-----BEGIN OPENSSH PRIVATE KEY-----\n${body.subarray(0, length).toString("base64")}\n-----END OPENSSH PRIVATE KEY-----\n`;
    const collector = new KeyCollector(false);
    await collector.add(new Uint8Array(Buffer.from(text)), "key", []);
    expect(collector.keys).toEqual([]);
  }
});

test.each([
  ["another beginning", 0],
  // Before them are: "openssh-key-v1" and a zero, "none" twice, no options, one key, its public half and a length.
  ["two check numbers that differ", 15 + 8 + 8 + 4 + 4 + (4 + 104) + 4],
])("a key with %s is malformed", async (_what, offset) => {
  const path = generate(`changed-${offset}`, "-t", "ecdsa", "-b", "256", "-N", "");
  const [, base64 = ""] = /-----\n([\s\S]*?)-----END/.exec(readFileSync(path, "utf8")) ?? [];
  const read = async (change: number) => {
    const body = Buffer.from(base64, "base64");
    body[offset] = (body[offset] ?? 0) ^ change;
    const text = `-----BEGIN OPENSSH PRIVATE KEY-----\n${body.toString("base64")}\n-----END OPENSSH PRIVATE KEY-----\n`;
    const collector = new KeyCollector(false);
    await collector.add(new Uint8Array(Buffer.from(text)), "key", []);
    return collector.keys.length;
  };
  expect([await read(0), await read(1)]).toEqual([1, 0]);
});

const field = (content: Uint8Array | string) => {
  const bytes = Buffer.from(content as string);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
};

describe("the fields of a private key", () => {
  const {
    e = "",
    n = "",
    d = "",
    p = "",
    q = "",
    qi = "",
  } = generateKeyPairSync("rsa", {
    modulusLength: 2048,
  }).privateKey.export({ format: "jwk" });
  const NUMBERS = [n, e, d, qi, p, q].map((it) => Buffer.from(it, "base64url"));
  const count = (value: number) => Buffer.from([0, 0, 0, value]);

  function reason({ cipher = "none", keys = 1, checks = [7, 7], type = "ssh-rsa", numbers = NUMBERS } = {}) {
    const inner = Buffer.concat([...checks.map(count), field(type), ...numbers.map(field)]);
    const body = [field(cipher), field("none"), field(""), count(keys), field("public"), field(inner)];
    const bytes = new Uint8Array(Buffer.concat([Buffer.from("openssh-key-v1\0"), ...body]));
    const key = parseSshPrivateKey(bytes, { origin: "key" });
    return "reason" in key ? key.reason : key.type;
  }

  const without = (position: number) => NUMBERS.map((it, i) => (i === position ? Buffer.of(1) : it));
  test("are those of one key", () => {
    expect(reason()).toBe("rsa");
    expect(reason({ keys: 2 })).toBe("an OpenSSH file with several keys");
    expect(reason({ keys: 0 })).toBe("an OpenSSH file with several keys");
    expect(reason({ cipher: "aes256-ctr" })).toMatch(/^an encrypted OpenSSH key/);
    expect(reason({ checks: [7, 8] })).toBe("a malformed OpenSSH key");
    expect(reason({ type: "ssh-dss" })).toMatch(/of a type that can't open layers/);
    expect(reason({ type: "x-ecdsa-sha2-nistp256" })).toMatch(/of a type that can't open layers/);
    expect(reason({ numbers: NUMBERS.slice(1) })).toBe("a malformed OpenSSH key");
    // Neither 0 nor 1 is a prime number.
    for (const position of [4, 5]) {
      expect(reason({ numbers: without(position) })).toBe("a malformed OpenSSH key");
      const zero = NUMBERS.map((it, i) => (i === position ? Buffer.of() : it));
      expect(reason({ numbers: zero })).toBe("a malformed OpenSSH key");
    }
    const two = NUMBERS.map((it, i) => (i === 4 ? Buffer.of(2) : it));
    expect(reason({ numbers: two })).toBe("rsa");
  });
});

test.each([
  ["P-256", 32],
  ["P-384", 48],
  ["P-521", 66],
] as const)("a key on %s keeps its public point, if that is known", (curve, size) => {
  const jwk = generateKeyPairSync("ec", { namedCurve: curve }).privateKey.export({ format: "jwk" });
  const bytesOf = (text = "") => new Uint8Array(Buffer.from(text, "base64url"));
  const point = new Uint8Array([4, ...bytesOf(jwk.x), ...bytesOf(jwk.y)]);
  const pkcs8Of = (known: Uint8Array | null) => {
    const key = ecKey(curve, bytesOf(jwk.d), known, { origin: "key" });
    return "reason" in key ? Buffer.of() : Buffer.from(key.pkcs8.bytes);
  };
  expect(point).toHaveLength(2 * size + 1);
  expect([pkcs8Of(point).includes(point), pkcs8Of(null).includes(point)]).toEqual([true, false]);
  for (const known of [point, null]) {
    const key = createPrivateKey({ key: pkcs8Of(known), format: "der", type: "pkcs8" });
    expect(key.export({ format: "jwk" })).toEqual(jwk);
  }
});

describe("a line of a public key", () => {
  const point = (size: number, first = 4) => Buffer.concat([Buffer.of(first), Buffer.alloc(size - 1, 1)]);
  const line = (type: string, ...fields: readonly (Buffer | string)[]) =>
    `${type} ${Buffer.concat([type, ...fields].map(field)).toString("base64")}`;
  const rsa = line("ssh-rsa", Buffer.of(1, 0, 1), Buffer.of(0, 0x80, 1));
  const ec = (size: number, first = 4, curve = "nistp256") =>
    line("ecdsa-sha2-nistp256", curve, point(size, first));

  test("has its numbers", () => {
    const expected = { kty: "RSA", e: "AQAB", n: "gAE" };
    for (const text of [rsa, `${rsa} a comment`, `${rsa}\n`])
      expect(parseSshPublicKey(text)).toEqual(expected);
    expect(parseSshPublicKey(line("ssh-rsa", Buffer.of(3), Buffer.of(0x7f)))).toEqual({
      ...{ kty: "RSA", e: "Aw", n: "fw" },
    });
    const half = Buffer.alloc(32, 1).toString("base64url");
    expect(parseSshPublicKey(ec(65))).toEqual({ kty: "EC", crv: "P-256", x: half, y: half });
  });

  test.each([
    ["text before it", `x${rsa}`],
    ["text after it", `${rsa}*`],
    ["another type", rsa.replace("ssh-rsa", "ssh-dss")],
    ["another type inside", rsa.replace("ssh-rsa", "ecdsa-sha2-nistp256")],
    ["another curve inside", ec(65, 4, "nistp1")],
    ["a compressed point", ec(33, 2)],
    ["a point of an even length", ec(64)],
    ["no numbers", line("ssh-rsa")],
    [
      "a number that is cut off",
      `ssh-rsa ${Buffer.concat([field("ssh-rsa"), Buffer.of(0, 0, 0, 9, 1)]).toString("base64")}`,
    ],
  ])("is none with %s", (_what, text) => {
    expect(parseSshPublicKey(text)).toBeNull();
  });
});
