import { execFileSync } from "node:child_process";
import { createPrivateKey, createPublicKey } from "node:crypto";
import { copyFileSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { KeyCollector } from "../../../src/keys/collector.ts";
import { parsePublicKey } from "../../../src/keys/public-key.ts";
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
