import type { PrivateKey } from "openpgp";
import { beforeAll, describe, expect, test } from "vitest";
import { describe as describePacket } from "../../../../src/keywrap/pgp/describe.ts";
import { bytes, literal, makeKey, packet, protectedData, seal } from "./messages.ts";

let key: PrivateKey;
let message: Uint8Array<ArrayBuffer>;

beforeAll(async () => {
  key = await makeKey();
  message = await seal(key, literal());
});

const keyId = () => `0x${key.subkeys[0]?.getKeyID().toHex()}`;
const data = () => protectedData(new Uint8Array(32), literal());
const sessionKey = (...body: number[]) => packet(1, body);

describe("recipients, told without a key", () => {
  test("one", () => expect(describePacket(message)).toEqual([{ algorithm: "ECDH", id: keyId() }]));

  test("one whose key ID is hidden", async () =>
    expect(describePacket(await seal(key, literal(), { hidden: true }))).toEqual([{ algorithm: "ECDH" }]));

  test("of an algorithm that isn't ours", () => {
    const foreign = sessionKey(3, 1, 2, 3, 4, 5, 6, 7, 8, 99, 0);
    expect(describePacket(bytes(foreign, message))).toEqual([
      { algorithm: "algorithm 99", id: "0x0102030405060708" },
      { algorithm: "ECDH", id: keyId() },
    ]);
  });

  test("passwords, which open the message as well", () => {
    const password = packet(3, [4, 9, 0, 8]);
    const shown = { algorithm: "a password" };
    expect(describePacket(bytes(password, message))).toEqual([{ algorithm: "ECDH", id: keyId() }, shown]);
    expect(describePacket(bytes(password, password, message))).toHaveLength(3);
  });

  test("padding, markers and session keys of unknown versions are passed over", () => {
    const beside = [packet(21, [1, 2]), packet(10, [80, 71, 80]), sessionKey(7, 1)];
    expect(describePacket(bytes(...beside, message))).toEqual([{ algorithm: "ECDH", id: keyId() }]);
  });
});

describe("refused", () => {
  const refused = (name: string, build: () => Uint8Array<ArrayBuffer>) =>
    test(name, () =>
      expect(() => describePacket(build())).toThrow(expect.objectContaining({ code: "BAD_PACKET" })),
    );

  refused("nothing", () => bytes());
  refused("JSON", () => bytes(Buffer.from('{"protected":""}')));
  refused("a literal packet", () => literal());
  refused("session keys without data", () => message.slice(0, message.length - data().length));
  refused("data without session keys", () => data());
  refused("a message for a password alone", () => bytes(packet(3, [4, 9, 0, 8]), data()));
  refused("data without integrity protection", () => bytes(recipient(), packet(9, new Uint8Array(60))));
  refused("data of another type", () => bytes(recipient(), packet(19, [1, 9, 2, 16], new Uint8Array(60))));
  refused("two parts of data", () => bytes(message, data()));
  refused("something after the data", () => bytes(message, literal()));
  refused("a signature before the data", () => bytes(packet(2, [4]), message));
  refused("data of an unknown version", () => bytes(recipient(), packet(18, [3], new Uint8Array(60))));
  refused("a cipher that is not allowed", () =>
    bytes(recipient(), packet(20, [1, 4, 2, 16], new Uint8Array(60))),
  );
  refused("an AEAD mode that is not allowed", () =>
    bytes(recipient(), packet(20, [1, 9, 4, 16], new Uint8Array(60))),
  );
  refused("version 3 session keys with version 2 data", () =>
    bytes(recipient(), packet(18, [2, 9, 2, 16], new Uint8Array(60))),
  );
  refused("more data than any layer key has", () =>
    bytes(recipient(), packet(18, [1], new Uint8Array(70_000))),
  );
  refused("a session key that is cut off", () => bytes(sessionKey(3, 1, 2, 3, 4, 5, 6, 7, 8), data()));
  refused("a fingerprint that is cut off", () =>
    bytes(sessionKey(6, 21, 4, 1, 2), packet(18, [2, 9, 2, 16], new Uint8Array(60))),
  );

  const recipient = () => sessionKey(3, 1, 2, 3, 4, 5, 6, 7, 8, 18, 0);
});
