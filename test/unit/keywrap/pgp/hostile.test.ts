import { randomBytes } from "node:crypto";
import { deflateRawSync, deflateSync } from "node:zlib";
import {
  CompressedDataPacket,
  createMessage,
  encrypt,
  enums,
  type PrivateKey,
  type PublicKey,
} from "openpgp";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { DecoderError } from "../../../../src/errors.ts";
import { unwrap } from "../../../../src/keywrap/pgp/unwrap.ts";
import {
  bytes,
  contextWith,
  keyring,
  literal,
  makeKey,
  OPTIONS,
  packet,
  protectedData,
  seal,
} from "./messages.ts";

type Bytes = Uint8Array<ArrayBuffer>;

let alice: PrivateKey;
let rsa: PrivateKey;

beforeAll(async () => {
  alice = await makeKey();
  rsa = await makeKey({ type: "rsa", rsaBits: 2048 });
});

const unhandled: unknown[] = [];
const onUnhandled = (reason: unknown) => unhandled.push(reason);
process.on("unhandledRejection", onUnhandled);
afterAll(async () => {
  // The event comes a turn after the rejection.
  await new Promise((resolve) => setTimeout(resolve, 50));
  process.off("unhandledRejection", onUnhandled);
  expect(unhandled).toEqual([]);
});

/** What became of a message: the options' text, an error code, or the outcomes of the attempts. */
async function outcome(message: Bytes, key: PrivateKey = alice): Promise<string | readonly string[]> {
  const context = contextWith(keyring(key));
  try {
    const opened = await unwrap(message, context);
    if (opened !== null) return Buffer.from(opened.options.bytes).toString();
  } catch (error) {
    if (error instanceof DecoderError) return error.code;
    throw error;
  }
  return context.attempts.map((attempt) => attempt.outcome);
}

const NO_FIT = ["the key does not fit, or the message is damaged"];

const ZIP = 1;
const ZLIB = 2;
const BZIP2 = 3;
const compressed = (algorithm: number, content: Uint8Array) => packet(8, [algorithm], content);

/** A literal packet of 45,000,000 zeros; bzip2 takes 71 bytes for them. */
const BZIP2_OF_ZEROS = Buffer.from(
  "QlpoOTFBWSZTWaSd1MgFYrFFNNAAQAAQACAAAgEACAAIoABAUqjQ2kIAYYpJCk87kAkBzf2s3mlJIUnPxdyRThQkKSd1MgA=",
  "base64",
);

describe("content that is authentic, and yet not what a layer key is", () => {
  const zip = (content: Uint8Array) => compressed(ZIP, deflateRawSync(content));
  const zeros = () => literal(new Uint8Array(32 << 20));
  const ignored = (count: number) => bytes(...Array.from({ length: count }, () => [0xca, 0]));
  const contents: Readonly<Record<string, () => Uint8Array>> = {
    nothing: () => bytes(),
    "no packets": () => Buffer.from("hello hello hello"),
    "a literal packet that is cut off": () => literal().slice(0, -3),
    "two literal packets": () => bytes(literal(), literal()),
    "a literal packet, then no packet": () => bytes(literal(), [1, 2, 3]),
    "a compressed packet in a compressed packet": () => zip(zip(literal())),
    "a hundred compressed packets, one in the other": () =>
      Array.from({ length: 100 }).reduce<Uint8Array>((inner) => zip(inner), literal()),
    "32 MiB, deflated": () => zip(zeros()),
    "32 MiB, deflated by zlib": () => compressed(ZLIB, deflateSync(zeros())),
    "45 MB, compressed by bzip2": () => compressed(BZIP2, BZIP2_OF_ZEROS),
    "one byte more than is allowed, deflated": () => zip(literal(new Uint8Array(65_536 - 11))),
    "deflated data that is cut off": () =>
      compressed(ZIP, deflateRawSync(literal(randomBytes(500))).subarray(0, 300)),
    "deflated data that is damaged": () => compressed(ZLIB, deflateSync(literal()).fill(0xff, 10, 20)),
    "deflated data with something after it": () => compressed(ZLIB, bytes(deflateSync(literal()), [1, 2, 3])),
    "bzip2 data that is none": () => compressed(BZIP2, randomBytes(100)),
    "compressed data of no bytes": () => compressed(ZIP, bytes()),
    "data compressed by an unknown algorithm": () => compressed(9, literal()),
    "an encrypted message": () => protectedData(new Uint8Array(32), literal()),
    "a key": () => packet(6, [4, 0, 0, 0, 0, 1, 0]),
    "nothing but packets to be ignored": () => ignored(1000),
  };

  test.each(Object.entries(contents))("%s", async (_, build) => {
    expect(await outcome(await seal(alice, build()))).toEqual(NO_FIT);
  });

  test("what is inside of compressed data is never inflated, were it itself", async () => {
    const inflate = vi.spyOn(
      CompressedDataPacket.prototype as unknown as { decompress(): void },
      "decompress",
    );
    await outcome(
      await seal(alice, contents["a hundred compressed packets, one in the other"]?.() ?? bytes()),
    );
    expect(inflate).toHaveBeenCalledTimes(1);
    inflate.mockRestore();
  });

  test("as much as is allowed, deflated, opens", async () => {
    const content = new Uint8Array(65_536 - 12).fill(65);
    expect(await outcome(await seal(alice, zip(literal(content))))).toBe("A".repeat(content.length));
  });
});

describe("data without the integrity check it should have", () => {
  test("none at all", async () =>
    expect(await outcome(await seal(alice, literal(), { mdc: false }))).toEqual(NO_FIT));

  test("shorter than the check itself", async () => {
    const message = await seal(alice, literal());
    const recipient = message.slice(0, message.length - protectedData(new Uint8Array(32), literal()).length);
    for (const length of [0, 1, 16, 18, 20, 38, 40]) {
      expect(await outcome(bytes(recipient, packet(18, [1], new Uint8Array(length))))).toEqual(NO_FIT);
    }
  });
});

describe("an RSA recipient says the same whatever is wrong with its session key", () => {
  const sealed = (block: Bytes, keyId: Uint8Array): Bytes =>
    bytes(packet(1, [3], keyId, [1], rsaEncrypt(rsa, block)), protectedData(new Uint8Array(32), literal()));
  const pad = (message: Uint8Array, start = [0, 2]) =>
    bytes(start, new Uint8Array(256 - start.length - 1 - message.length).fill(0x55), [0], message);
  const encoded = (cipher: number, length: number, fault = 0) => {
    const key = new Uint8Array(length);
    return bytes([cipher], key, [0, fault]);
  };

  const blocks: Readonly<Record<string, () => Bytes>> = {
    "no padding": () => bytes([0], new Uint8Array(255).fill(0x99)),
    "padding of a signature": () => pad(encoded(9, 32), [0, 1]),
    "a first octet that is not zero": () => pad(encoded(9, 32), [1, 2]),
    "no end of the padding": () => bytes([0, 2], new Uint8Array(254).fill(0x55)),
    "a zero within the padding": () => pad(encoded(9, 32)).fill(0, 100, 101),
    "an empty message": () => pad(bytes()),
    "a wrong checksum": () => pad(encoded(9, 32, 1)),
    "an unknown cipher": () => pad(encoded(99, 32)),
    "a cipher whose key is shorter": () => pad(encoded(7, 32)),
    "a key that is too short": () => pad(encoded(9, 31)),
    "a key that is too long": () => pad(encoded(9, 33)),
    "another key, for AES-256": () => pad(bytes([9], new Uint8Array(32).fill(1), [0, 32])),
    "another key, for AES-128": () => pad(encoded(7, 16)),
    zero: () => new Uint8Array(256),
  };

  const keyId = () => Buffer.from(rsa.subkeys[0]?.getKeyID().toHex() ?? "", "hex");

  test("the right one opens", async () =>
    expect(await outcome(sealed(pad(encoded(9, 32)), keyId()), rsa)).toBe(OPTIONS.toString()));

  test.each(Object.entries(blocks))("%s", async (_, block) => {
    const context = contextWith(keyring(rsa));
    expect(await unwrap(sealed(block(), keyId()), context)).toBeNull();
    expect(context.operations()).toBe(1);
    expect(context.attempts.map((attempt) => attempt.outcome)).toEqual(NO_FIT);
  });

  test.each([
    ["a number above the modulus", new Uint8Array(256).fill(0xff), 2048],
    ["a number longer than the modulus", new Uint8Array(300).fill(0xff), 2400],
    ["a number that is cut off", new Uint8Array(10).fill(0xff), 2048],
    ["no number", new Uint8Array(0), 0],
  ])("%s", async (_, number, bits) => {
    const recipient = packet(1, [3], keyId(), [1, bits >> 8, bits & 0xff], number);
    const message = bytes(recipient, protectedData(new Uint8Array(32), literal()));
    expect(await outcome(message, rsa)).toEqual(NO_FIT);
  });
});

/** The bare RSA operation with a key's encryption subkey, as an MPI. */
function rsaEncrypt(key: PrivateKey, block: Bytes): Bytes {
  const { n, e } = (key.subkeys[0]?.keyPacket.publicParams ?? {}) as { n: Uint8Array; e: Uint8Array };
  const number = (big: Uint8Array) => BigInt(`0x${Buffer.from(big).toString("hex") || "0"}`);
  const modulus = number(n);
  let [result, base] = [1n, number(block) % modulus];
  for (let exponent = number(e); exponent > 0n; exponent >>= 1n, base = (base * base) % modulus) {
    if (exponent & 1n) result = (result * base) % modulus;
  }
  const hex = result.toString(16);
  const bits = result === 0n ? 0 : result.toString(2).length;
  return bytes(
    [bits >> 8, bits & 0xff],
    bits === 0 ? [] : Buffer.from(hex.length % 2 ? `0${hex}` : hex, "hex"),
  );
}

describe("messages that were damaged on the way", () => {
  const v6 = { v6Keys: true, aeadProtect: true };
  const kinds: Readonly<Record<string, () => Promise<readonly [PrivateKey, Bytes]>>> = {
    "RSA, version 1": async () => [rsa, await seal(rsa, literal())],
    "ECDH, version 1": async () => [alice, await seal(alice, literal())],
    "X25519, version 2": async () => {
      const key = await makeKey({ type: "curve25519", config: v6 });
      return [key, await encrypted(key, enums.aead.ocb)];
    },
    "RSA, version 2": async () => {
      const key = await makeKey({ type: "rsa", rsaBits: 2048, config: v6 });
      return [key, await encrypted(key, enums.aead.gcm)];
    },
  };

  async function encrypted(key: PublicKey, preferredAEADAlgorithm: enums.aead): Promise<Bytes> {
    const message = await createMessage({ binary: new Uint8Array(OPTIONS) });
    const settings = { ...v6, preferredAEADAlgorithm };
    return bytes(await encrypt({ message, encryptionKeys: key, format: "binary", config: settings }));
  }

  describe.each(Object.entries(kinds))("%s", (_, make) => {
    let key: PrivateKey;
    let message: Bytes;
    beforeAll(async () => {
      [key, message] = await make();
      expect(await outcome(message, key)).toBe(OPTIONS.toString());
    });

    test("cut off at every length", async () => {
      for (let length = 0; length < message.length; length++) {
        expect([length, await outcome(message.slice(0, length), key)]).toEqual([length, "BAD_PACKET"]);
      }
    });

    test("changed at every octet: not opened, or opened as it was", async () => {
      let unopened = 0;
      for (let at = 0; at < message.length; at++) {
        const changed = message.slice();
        changed[at] = (changed[at] ?? 0) ^ (1 << (at % 8));
        const result = await outcome(changed, key);
        if (typeof result === "string" && result !== "BAD_PACKET")
          expect([at, result]).toEqual([at, OPTIONS.toString()]);
        else unopened++;
      }
      // An unused bit or two of a number's length may change without a meaning.
      expect(message.length - unopened).toBeLessThanOrEqual(4);
    });

    test("changed anywhere in the data: not opened", async () => {
      const start = message.length - OPTIONS.length;
      for (let at = start; at < message.length; at++) {
        const changed = message.slice();
        changed[at] = (changed[at] ?? 0) ^ 0x80;
        expect([at, await outcome(changed, key)]).toEqual([at, NO_FIT]);
      }
    });
  });
});

describe("keyrings that were damaged", () => {
  test("cut off at every length, changed at every octet: no other outcome than an attempt", async () => {
    const message = await seal(alice, literal());
    const whole = bytes(alice.write());
    for (let at = 0; at < whole.length; at++) {
      const changed = whole.slice();
      changed[at] = (changed[at] ?? 0) ^ 0x11;
      for (const data of [whole.slice(0, at), changed]) {
        const context = contextWith({ data, origin: "ring", passphrases: [] });
        const opened = await unwrap(message, context);
        if (opened === null) expect(context.attempts.length).toBeGreaterThan(0);
        else expect(Buffer.from(opened.options.bytes)).toEqual(OPTIONS);
      }
    }
  });
});
