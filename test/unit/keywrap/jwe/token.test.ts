import type { KeyObject } from "node:crypto";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { unwrap } from "../../../../src/keywrap/jwe/unwrap.ts";
import { Secret } from "../../../../src/secret.ts";
import { flattenedJwe, general, generalJwe, keySet, unwrapContext } from "../../../support/jwe.ts";
import { describeWith } from "../../../support/peers.ts";
import { temporaryFolder } from "../../../support/temporary.ts";
import {
  HELPER_ENVIRONMENT,
  keyFile,
  SOFTHSM,
  softhsmToken,
  type TestToken,
} from "../../../support/tokens.ts";

const PLAIN = Buffer.from('{"symkey":"c2VjcmV0"}');

describeWith(SOFTHSM, "a JWE whose private key is on a token", {}, () => {
  const folder = temporaryFolder();
  let token: TestToken;
  beforeAll(async () => {
    token = await softhsmToken(join(folder, "softhsm"), "hsm", { mine: 2048, other: 2048, large: 3072 });
  });
  const publicKey = (name: string) => token.publicKeys.get(name) as KeyObject;

  async function open(packet: Uint8Array, key = "mine") {
    const yaml = new Secret(new TextEncoder().encode(keyFile(token, key)));
    const keys = { ...keySet(), tokenKeys: [{ origin: "node.yaml", yaml }] };
    const base = unwrapContext(keys);
    const environment = { ...HELPER_ENVIRONMENT, OCICRYPT_CONFIG: "internal" };
    const context = { ...base, settings: { ...base.settings, environment, providerTimeoutMs: 20_000 } };
    const opened = await unwrap(Uint8Array.from(packet), context);
    return { opened, attempts: base.attempts, text: opened && Buffer.from(opened.options.bytes).toString() };
  }

  test("opens with RSA-OAEP, as one recipient of several too", async () => {
    const single = await open(flattenedJwe({ key: publicKey("mine"), alg: "RSA-OAEP" }, PLAIN));
    expect(single).toMatchObject({
      text: PLAIN.toString(),
      opened: { recipient: "RSA-OAEP", key: 'node.yaml (token "hsm")' },
    });
    const specs = ["other", "mine"].map((name) => ({ key: publicKey(name), alg: "RSA-OAEP" }));
    expect((await open(general(generalJwe(specs, PLAIN)))).text).toBe(PLAIN.toString());
  });

  test("stays closed to another key, of the same size or not, and each attempt is recorded", async () => {
    const packet = flattenedJwe({ key: publicKey("mine"), alg: "RSA-OAEP" }, PLAIN);
    const other = await open(packet, "other");
    expect(other.opened).toBeNull();
    expect(other.attempts).toContainEqual(
      expect.objectContaining({ key: 'node.yaml (token "hsm")', outcome: "the key does not fit" }),
    );
    expect((await open(packet, "large")).opened).toBeNull();
  });

  test("opens only if its content is what was encrypted", async () => {
    const jwe = JSON.parse(flattenedJwe({ key: publicKey("mine"), alg: "RSA-OAEP" }, PLAIN).toString());
    const forged = { ...jwe, ciphertext: Buffer.alloc(PLAIN.length).toString("base64url") };
    expect((await open(Buffer.from(JSON.stringify(forged)))).opened).toBeNull();
  });

  test("tries no elliptic curve on the token", async () => {
    const { generateKeyPairSync } = await import("node:crypto");
    const pair = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const packet = flattenedJwe({ key: pair.publicKey, alg: "ECDH-ES+A256KW" }, PLAIN);
    const { opened, attempts } = await open(packet);
    expect([opened, attempts.filter(({ key }) => key !== undefined)]).toEqual([null, []]);
  });
});
