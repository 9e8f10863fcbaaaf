import { sign } from "node:crypto";
import { createMessage, generateKey, sign as signGpg } from "openpgp";
import { describe, expect, test } from "vitest";
import { ATOMIC_TYPE, COSIGN_TYPE, readPayload } from "../../../../src/trust/check/payload.ts";
import { checkSignature } from "../../../../src/trust/check/signature.ts";
import type { FoundSignature } from "../../../../src/trust/found.ts";
import { newKey, pemOf, spkiOf } from "../../../support/sigstore.ts";
import { demand, trustFile } from "./demand.ts";

const DIGEST = `sha256:${"ab".repeat(32)}`;
const NAME = { registry: "registry.example.test", path: "app", tag: "1", digest: undefined };
const IMAGE = { digest: DIGEST, name: NAME };
const KEY = newKey();
const SIGNER = {
  kind: "keys",
  keys: [trustFile("key.pub", pemOf("PUBLIC KEY", spkiOf(KEY.publicKey)))],
} as const;

/** @param optional JSON; undefined: the payload has none */
function payload(type: string, optional: string | undefined): Buffer {
  const critical = {
    identity: { "docker-reference": "registry.example.test/app:1" },
    image: { "docker-manifest-digest": DIGEST },
    type,
  };
  const rest = optional === undefined ? "" : `,"optional":${optional}`;
  return Buffer.from(`{"critical":${JSON.stringify(critical)}${rest}}`);
}

function simple(optional: string | undefined): FoundSignature {
  const bytes = payload("cosign container image signature", optional);
  const signature = sign("sha256", bytes, KEY.privateKey).toString("base64");
  return { form: "simple", where: "test", payload: bytes, signature };
}

describe("the optional part of a payload", () => {
  // As skopeo 1.22 and cosign 2.5 and 3.1 answered.
  test.each<[optional: string | undefined, skopeo: boolean, cosign: boolean]>([
    ["null", true, true],
    ["{}", true, true],
    ['{"creator":"a","timestamp":1700000000}', true, true],
    ['{"creator":null,"timestamp":null}', true, true],
    ['{"a":{"b":[1]}}', true, true],
    [undefined, false, true],
    ['{"timestamp":"today"}', false, true],
    ['{"timestamp":1.5}', false, true],
    ['{"creator":7}', false, true],
    ["[]", false, false],
    ['"a"', false, false],
  ])("%s: taken under containers-policy.json %s, by a key alone %s", async (optional, skopeo, cosign) => {
    const policy = demand({ signer: SIGNER, identity: { kind: "matchRepository" } });
    expect(await checkSignature(simple(optional), policy, IMAGE)).toMatchObject({ counts: skopeo });
    expect(await checkSignature(simple(optional), demand({ signer: SIGNER }), IMAGE)).toMatchObject({
      counts: cosign,
    });
  });

  test.each<[optional: string | undefined, isTaken: boolean]>([
    ["{}", true],
    ['{"creator":"atomic 1.0","timestamp":1700000000}', true],
    ["null", false],
    [undefined, false],
    ['{"timestamp":"today"}', false],
  ])("%s: taken in a signature by GnuPG %s", async (optional, isTaken) => {
    const userIDs = [{ name: "Dev", email: "dev@example.test" }];
    const { privateKey } = await generateKey({ userIDs, format: "object" });
    const message = await createMessage({ binary: payload("atomic container signature", optional) });
    const bytes = await signGpg({ message, signingKeys: privateKey, format: "binary" });
    const keyrings = [trustFile("ring.gpg", privateKey.toPublic().write())];
    const leaf = demand({ signer: { kind: "gpg", keyrings }, identity: { kind: "matchRepository" } });
    const found = { form: "gpg", where: "test", message: bytes as Uint8Array } as const;
    expect(await checkSignature(found, leaf, IMAGE)).toMatchObject({ counts: isTaken });
  });
});

describe("a payload", () => {
  const CRITICAL = {
    identity: { "docker-reference": "a.test/b:1" },
    image: { "docker-manifest-digest": DIGEST },
    type: COSIGN_TYPE,
  };
  const read = (value: unknown) => readPayload(Buffer.from(JSON.stringify(value)), COSIGN_TYPE);

  test("names an image and its digest", () => {
    const expected = { digest: DIGEST, reference: "a.test/b:1" };
    expect(read({ critical: CRITICAL })).toEqual({ ...expected, optional: undefined });
    expect(read({ critical: CRITICAL, optional: null })).toEqual({ ...expected, optional: null });
    expect(read({ critical: CRITICAL, optional: { a: 1 } })).toEqual({ ...expected, optional: { a: 1 } });
  });

  test.each<[unknown, string]>([
    [[], "the payload is not an object"],
    [{}, "the payload has no critical"],
    [{ critical: CRITICAL, more: 1 }, 'the payload has the unknown member "more"'],
    [{ critical: 1 }, "critical is not an object"],
    [{ critical: { ...CRITICAL, type: undefined } }, "critical has no type"],
    [{ critical: { ...CRITICAL, type: ATOMIC_TYPE } }, `its type is "${ATOMIC_TYPE}"`],
    [{ critical: { ...CRITICAL, image: {} } }, "critical.image has no docker-manifest-digest"],
    [
      { critical: { ...CRITICAL, image: { "docker-manifest-digest": 1 } } },
      "its docker-manifest-digest is not text",
    ],
    [{ critical: { ...CRITICAL, identity: { "docker-reference": 1 } } }, "its docker-reference is not text"],
    [{ critical: CRITICAL, optional: [] }, "its optional part is not an object"],
    [{ critical: CRITICAL, optional: "" }, "its optional part is not an object"],
  ])("%j is malformed: %s", (value, problem) => {
    expect(() => read(value)).toThrow(`its payload is malformed: ${problem}`);
  });

  test("that is not JSON is malformed", () => {
    expect(() => readPayload(Buffer.from("{"), COSIGN_TYPE)).toThrow(/^its payload is malformed: /);
  });
});
