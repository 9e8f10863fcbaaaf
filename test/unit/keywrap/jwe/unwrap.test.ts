import { generateKeyPairSync, type KeyObject } from "node:crypto";
import jose from "node-jose";
import { describe, expect, test } from "vitest";
import { thumbprint } from "../../../../src/keys/thumbprint.ts";
import { unwrap } from "../../../../src/keywrap/jwe/unwrap.ts";
import {
  aesKw,
  asymmetricKey,
  b64u,
  compact,
  encryptContent,
  flatten,
  flattenedJwe,
  general,
  generalJwe,
  type JweParts,
  keySet,
  otherCurvePoint,
  unwrapContext,
  wrapCek,
} from "../../../support/jwe.ts";
import { rsaPair } from "../../../support/rsa.ts";

const PLAIN = Buffer.from('{"symkey":"c2VjcmV0"}');
const RSA_ALGS = ["RSA-OAEP", "RSA-OAEP-256"];
const EC_ALGS = ["ECDH-ES+A128KW", "ECDH-ES+A192KW", "ECDH-ES+A256KW"];
const ENCS = ["A128GCM", "A192GCM", "A256GCM", "A128CBC-HS256", "A192CBC-HS384", "A256CBC-HS512"];
const CURVES = ["P-256", "P-384", "P-521"];

const rsa = (modulusLength = 2048) => rsaPair(modulusLength);
const ec = (namedCurve = "P-256") => generateKeyPairSync("ec", { namedCurve });
const RSA = rsa();
const OTHER_RSA = rsa();
const EC = new Map(CURVES.map((curve) => [curve, ec(curve)]));
const P256 = ec();
const pairOf = (curve: string) => EC.get(curve) ?? P256;

async function open(packet: Uint8Array, ...keys: (KeyObject | ReturnType<typeof asymmetricKey>)[]) {
  const context = unwrapContext(keySet(...keys.map((key) => ("pkcs8" in key ? key : asymmetricKey(key)))));
  const opened = await unwrap(Uint8Array.from(packet), context);
  return { text: opened && Buffer.from(opened.options.bytes).toString(), opened, ...context };
}

const opens = { text: PLAIN.toString() };
const refused = expect.objectContaining({ code: "BAD_PACKET" });

test("an RSA key that was imported for one hash also opens a recipient with the other", async () => {
  const specs = (first: string, second: string) => [
    { key: OTHER_RSA.publicKey, alg: first },
    { key: RSA.publicKey, alg: second },
  ];
  for (const [first, second] of [RSA_ALGS, RSA_ALGS.toReversed()] as [string, string][]) {
    const packet = general(generalJwe(specs(first, second), PLAIN));
    expect((await open(packet, RSA.privateKey)).text).toBe(PLAIN.toString());
  }
});

describe("every algorithm", () => {
  const pairs = [
    ...RSA_ALGS.map((alg) => ({ alg, kind: "RSA-2048" })),
    ...EC_ALGS.flatMap((alg) => CURVES.map((kind) => ({ alg, kind }))),
  ];
  const all = pairs.flatMap((pair) => ENCS.map((enc) => ({ ...pair, enc })));

  test.each(all)("$alg with $kind, $enc", async ({ alg, kind, enc }) => {
    const { publicKey, privateKey } = kind === "RSA-2048" ? RSA : pairOf(kind);
    expect(await open(flattenedJwe({ key: publicKey, alg }, PLAIN, enc), privateKey)).toMatchObject({
      ...opens,
      spent: 1,
    });
  });

  test.each(all)("as node-jose writes it: $alg with $kind, $enc", async ({ alg, kind, enc }) => {
    const { publicKey, privateKey } = kind === "RSA-2048" ? RSA : pairOf(kind);
    const key = await jose.JWK.asKey(publicKey.export({ format: "jwk" }) as object);
    const options = { format: "flattened", contentAlg: enc, fields: { alg } } as const;
    const jwe = await jose.JWE.createEncrypt(options, key).update(PLAIN).final();
    expect(await open(Buffer.from(JSON.stringify(jwe)), privateKey)).toMatchObject(opens);
  });

  test.each([3072, 4096])("RSA-%i", async (bits) => {
    const { publicKey, privateKey } = rsa(bits);
    expect(await open(flattenedJwe({ key: publicKey, alg: "RSA-OAEP" }, PLAIN), privateKey)).toMatchObject(
      opens,
    );
  });

  test("apu and apv take part in the agreement", async () => {
    const header = { apu: b64u("Alice"), apv: b64u("Bob") };
    const packet = flattenedJwe({ key: P256.publicKey, alg: "ECDH-ES+A256KW", header }, PLAIN);
    expect(await open(packet, P256.privateKey)).toMatchObject(opens);
    const cek = Buffer.alloc(32, 1);
    const { header: whole, encryptedKey } = wrapCek({ key: P256.publicKey, alg: "ECDH-ES+A256KW" }, cek);
    const parts = encryptContent(
      { enc: "A256GCM", ...whole, apu: b64u("Eve") },
      [{ header: {}, encryptedKey }],
      cek,
      PLAIN,
    );
    expect(await open(flatten(parts), P256.privateKey)).toMatchObject({ text: null });
  });
});

describe("serializations", () => {
  const specs = [
    { key: OTHER_RSA.publicKey, alg: "RSA-OAEP" },
    { key: RSA.publicKey, alg: "RSA-OAEP" },
    { key: P256.publicKey, alg: "ECDH-ES+A256KW" },
  ];

  test("general, for any of its recipients", async () => {
    const packet = general(generalJwe(specs, PLAIN));
    for (const { privateKey } of [OTHER_RSA, RSA, P256])
      expect(await open(packet, privateKey)).toMatchObject(opens);
    expect(await open(packet, ec().privateKey)).toMatchObject({ text: null });
  });

  test("general with go-jose's copy of the first encrypted_key on top", async () => {
    const parts = generalJwe(specs, PLAIN);
    const copy = { encrypted_key: b64u(parts.recipients[0]?.encryptedKey ?? "") };
    expect(await open(general(parts, copy), P256.privateKey)).toMatchObject(opens);
  });

  test("flattened with a header of the recipient", async () => {
    expect(await open(flatten(generalJwe(specs.slice(2), PLAIN)), P256.privateKey)).toMatchObject(opens);
  });

  test("compact", async () => {
    const cek = Buffer.alloc(32, 1);
    const { header, encryptedKey } = wrapCek({ key: P256.publicKey, alg: "ECDH-ES+A128KW" }, cek);
    const parts = encryptContent({ enc: "A256GCM", ...header }, [{ header: {}, encryptedKey }], cek, PLAIN);
    expect(await open(compact(parts), P256.privateKey)).toMatchObject(opens);
    expect(await open(Buffer.from(`\n${compact(parts)}\n`), P256.privateKey)).toMatchObject(opens);
  });

  test("with parts of the header unprotected", async () => {
    const cek = Buffer.alloc(32, 1);
    const { header, encryptedKey } = wrapCek({ key: P256.publicKey, alg: "ECDH-ES+A256KW" }, cek);
    const parts = encryptContent({ enc: "A256GCM" }, [{ header: {}, encryptedKey }], cek, PLAIN);
    expect(await open(flatten(parts, { unprotected: header }), P256.privateKey)).toMatchObject(opens);
    const split = { unprotected: { alg: header["alg"] }, header: { epk: header["epk"] } };
    expect(await open(flatten(parts, split), P256.privateKey)).toMatchObject(opens);
  });

  test("with additional authenticated data", async () => {
    const cek = Buffer.alloc(32, 1);
    const recipient = wrapCek(specs[2] ?? { key: P256.publicKey, alg: "" }, cek);
    const parts = encryptContent({ enc: "A256GCM" }, [recipient], cek, PLAIN, b64u("more"));
    expect(await open(general(parts, { aad: b64u("more") }), P256.privateKey)).toMatchObject(opens);
    expect(await open(general(parts, { aad: b64u("else") }), P256.privateKey)).toMatchObject({ text: null });
    expect(await open(general(parts), P256.privateKey)).toMatchObject({ text: null });
  });
});

describe("choosing among keys", () => {
  const spec = { key: P256.publicKey, alg: "ECDH-ES+A256KW" };
  const others = Array.from({ length: 6 }, () => asymmetricKey(ec().privateKey));

  test("keys of another type or size are not tried", async () => {
    const { privateKey: p384 } = pairOf("P-384");
    const { text, attempts, spent } = await open(flattenedJwe(spec, PLAIN), RSA.privateKey, p384);
    expect({ text, spent }).toEqual({ text: null, spent: 0 });
    expect(attempts).toEqual([
      { recipient: "ECDH-ES+A256KW P-256", outcome: "no key here is of that type and size" },
    ]);
    const packet = flattenedJwe({ key: RSA.publicKey, alg: "RSA-OAEP" }, PLAIN);
    expect(await open(packet, P256.privateKey, rsa(3072).privateKey)).toMatchObject({ text: null, spent: 0 });
  });

  test("each that does not fit is recorded", async () => {
    const { text, attempts, spent } = await open(flattenedJwe(spec, PLAIN), ...others);
    expect({ text, spent }).toEqual({ text: null, spent: 6 });
    expect(attempts).toEqual(
      others.map((key) => ({ recipient: "ECDH-ES+A256KW P-256", key, outcome: "the key does not fit" })),
    );
  });

  test("whichever place the right one has", async () => {
    const packet = flattenedJwe(spec, PLAIN);
    for (let place = 0; place <= others.length; place++) {
      const keys = [...others.slice(0, place), asymmetricKey(P256.privateKey), ...others.slice(place)];
      const { text, opened } = await open(packet, ...keys);
      expect(text).toBe(PLAIN.toString());
      expect(opened).toMatchObject({ recipient: "ECDH-ES+A256KW P-256", key: keys[place] });
    }
  });

  test("the kid says which is tried first, and excludes none", async () => {
    const packet = flattenedJwe({ ...spec, header: { kid: "mine" } }, PLAIN);
    const named = (kid: string) => asymmetricKey(P256.privateKey, { kid });
    expect(await open(packet, ...others, named("mine"))).toMatchObject({ ...opens, spent: 1 });
    const [first] = others;
    if (!first) throw new Error("no key");
    expect(await open(packet, named("other"), first)).toMatchObject({ ...opens, spent: 2 });
  });

  test.each([
    ["EC", ec, "ECDH-ES+A256KW"],
    ["RSA", rsa, "RSA-OAEP"],
  ] as const)("a thumbprint as kid finds the one %s key among 101 at once", async (_type, pair, alg) => {
    const mine = pair();
    const kid = thumbprint({ ...mine.publicKey.export({ format: "jwk" }) });
    const packet = flattenedJwe({ key: mine.publicKey, alg, header: { kid } }, PLAIN);
    const foreign = asymmetricKey(pair().privateKey);
    const strangers = Array.from({ length: 100 }, () => ({ ...foreign }));
    const renamed = asymmetricKey(mine.privateKey, { kid: "a name of its own" });
    for (const key of [asymmetricKey(mine.privateKey), renamed])
      expect(await open(packet, ...strangers, key)).toMatchObject({ ...opens, spent: 1 });
  });
});

describe("a recipient is refused before any work, another one may do", () => {
  const alg = "ECDH-ES+A256KW";
  const spec = { key: P256.publicKey, alg };

  /** Changes the first recipient of two; the second is for RSA. */
  async function withRecipient(
    change: (it: JweParts["recipients"][number]) => JweParts["recipients"][number],
  ) {
    const parts = generalJwe([spec, { key: RSA.publicKey, alg: "RSA-OAEP" }], PLAIN);
    const [first, second] = parts.recipients;
    if (!first || !second) throw new Error("no recipients");
    const packet = general({ ...parts, recipients: [change(first), second] });
    expect(await open(packet, RSA.privateKey)).toMatchObject({ ...opens, spent: 1 });
    const { text, spent, attempts } = await open(packet, P256.privateKey);
    expect({ text, spent }).toEqual({ text: null, spent: 0 });
    return attempts[0]?.outcome;
  }

  test.each([
    "RSA1_5",
    "ECDH-ES",
    "A256KW",
    "A256GCMKW",
    "dir",
    "PBES2-HS256+A128KW",
    "RSA-OAEP-512",
    "none",
    "",
    "ecdh-es+a256kw",
    "constructor",
    undefined,
    5,
    [alg],
  ])("alg %j", async (other) => {
    expect(await withRecipient((it) => ({ ...it, header: { ...it.header, alg: other } }))).toMatch(
      /not allowed/,
    );
  });

  test.each([0, 8, 32, 39, 41, 48])("an encrypted_key of %i bytes", async (length) => {
    expect(await withRecipient((it) => ({ ...it, encryptedKey: Buffer.alloc(length) }))).toMatch(
      `${length} bytes`,
    );
  });

  test("an empty encrypted_key of RSA", async () => {
    const parts = generalJwe([{ key: RSA.publicKey, alg: "RSA-OAEP" }], PLAIN);
    const { text, spent, attempts } = await open(
      general({
        ...parts,
        recipients: parts.recipients.map((it) => ({ ...it, encryptedKey: Buffer.alloc(0) })),
      }),
      RSA.privateKey,
    );
    expect({ text, spent }).toEqual({ text: null, spent: 0 });
    expect(attempts[0]?.outcome).toMatch(/empty/);
  });

  const epk = P256.publicKey.export({ format: "jwk" });
  test.each<[string, unknown]>([
    ["none", undefined],
    ["text", "x"],
    ["of another type", { ...epk, kty: "OKP" }],
    ["on another curve", { ...epk, crv: "secp256k1" }],
    ["without a coordinate", { ...epk, y: undefined }],
    ["with a short coordinate", { ...epk, x: b64u(Buffer.alloc(31, 1)) }],
    ["with a long coordinate", { ...epk, x: b64u(Buffer.alloc(33, 1)) }],
    ["with a coordinate that is no base64url", { ...epk, x: `${epk.x}=` }],
  ])("an epk that is %s", async (_what, other) => {
    expect(await withRecipient((it) => ({ ...it, header: { ...it.header, epk: other } }))).toMatch(/epk/);
  });

  test.each(["apu", "apv"])("an %s that is no base64url", async (name) => {
    for (const value of ["?", 5, {}]) {
      expect(await withRecipient((it) => ({ ...it, header: { ...it.header, [name]: value } }))).toMatch(
        /apu/,
      );
    }
  });
});

describe("points that are on no curve open nothing", () => {
  test.each([
    ["on another curve", otherCurvePoint()],
    ["zero", { x: b64u(Buffer.alloc(32)), y: b64u(Buffer.alloc(32)) }],
    ["beyond the field", { x: b64u(Buffer.alloc(32, 0xff)), y: b64u(Buffer.alloc(32, 0xff)) }],
  ])("%s", async (_what, point) => {
    const epk = { kty: "EC", crv: "P-256", ...point };
    const header = { alg: "ECDH-ES+A256KW", epk };
    const parts = encryptContent(
      { enc: "A256GCM" },
      [{ header, encryptedKey: aesKw(Buffer.alloc(32), Buffer.alloc(32)) }],
      Buffer.alloc(32),
      PLAIN,
    );
    expect(await open(general(parts), P256.privateKey)).toMatchObject({ text: null, spent: 1 });
  });
});

describe("a content key of another length opens nothing", () => {
  test.each([16, 24, 31, 33, 64])("%i bytes", async (length) => {
    const recipient = wrapCek({ key: RSA.publicKey, alg: "RSA-OAEP" }, Buffer.alloc(length, 1));
    const parts = encryptContent({ enc: "A256GCM" }, [recipient], Buffer.alloc(32, 1), PLAIN);
    expect(await open(general(parts), RSA.privateKey)).toMatchObject({ text: null, spent: 1 });
  });
});

describe("a changed packet opens nothing, or is refused", () => {
  const flip = (bytes: Buffer, at: number) => {
    const changed = Buffer.from(bytes);
    changed.writeUInt8(changed.readUInt8(at) ^ 1, at);
    return changed;
  };
  const changes: [string, (parts: JweParts) => JweParts][] = [
    ["iv", (it) => ({ ...it, iv: flip(it.iv, 3) })],
    ["ciphertext", (it) => ({ ...it, ciphertext: flip(it.ciphertext, 0) })],
    ["tag", (it) => ({ ...it, tag: flip(it.tag, it.tag.length - 1) })],
    ["protected header", (it) => ({ ...it, protected: { ...it.protected, x: 1 } })],
    [
      "encrypted_key",
      (it) => ({
        ...it,
        recipients: it.recipients.map((r) => ({ ...r, encryptedKey: flip(r.encryptedKey, 9) })),
      }),
    ],
  ];
  const all = changes.flatMap(([what, change]) => ENCS.map((enc) => ({ what, enc, change })));
  test.each(all)("$what, $enc", async ({ enc, change }) => {
    for (const spec of [
      { key: P256.publicKey, alg: "ECDH-ES+A256KW" },
      { key: RSA.publicKey, alg: "RSA-OAEP-256" },
    ]) {
      const packet = general(change(generalJwe([spec], PLAIN, enc)));
      expect(await open(packet, P256.privateKey, RSA.privateKey)).toMatchObject({ text: null });
    }
  });

  const lengths: [string, (parts: JweParts) => JweParts][] = [
    ["a short tag", (it) => ({ ...it, tag: it.tag.subarray(0, -1) })],
    ["a tag of 12 bytes", (it) => ({ ...it, tag: it.tag.subarray(0, 12) })],
    ["no tag", (it) => ({ ...it, tag: Buffer.alloc(0) })],
    ["a long tag", (it) => ({ ...it, tag: Buffer.concat([it.tag, Buffer.alloc(1)]) })],
    ["a short iv", (it) => ({ ...it, iv: it.iv.subarray(1) })],
    ["a long iv", (it) => ({ ...it, iv: Buffer.concat([it.iv, Buffer.alloc(4)]) })],
    ["no iv", (it) => ({ ...it, iv: Buffer.alloc(0) })],
  ];
  test.each(lengths.flatMap(([what, change]) => ENCS.map((enc) => ({ what, enc, change }))))(
    "$what, $enc",
    async ({ enc, change }) => {
      const spec = { key: P256.publicKey, alg: "ECDH-ES+A256KW" };
      await expect(open(general(change(generalJwe([spec], PLAIN, enc))), P256.privateKey)).rejects.toThrow(
        refused,
      );
    },
  );
});

test.each([
  ["a list", ["exp"]],
  ["an empty list", []],
  ["a text", "exp"],
  ["null", null],
  ["an object", {}],
])("critical extensions are refused: %s", async (_what, crit) => {
  const spec = { key: P256.publicKey, alg: "ECDH-ES+A256KW", header: { crit } };
  await expect(open(flattenedJwe(spec, PLAIN), P256.privateKey)).rejects.toThrow(refused);
});

test("a header has at most 64 parameters", async () => {
  const parts = generalJwe([{ key: P256.publicKey, alg: "ECDH-ES+A256KW" }], PLAIN);
  const packet = (count: number) => {
    const unprotected = Object.fromEntries(Array.from({ length: count }, (_, i) => [`x${i}`, i]));
    return general(parts, { unprotected });
  };
  expect(await open(packet(64), P256.privateKey)).toMatchObject(opens);
  await expect(open(packet(65), P256.privateKey)).rejects.toThrow(refused);
});

test("empty content is content", async () => {
  for (const enc of ENCS) {
    const packet = flattenedJwe({ key: P256.publicKey, alg: "ECDH-ES+A256KW" }, Buffer.alloc(0), enc);
    expect(await open(packet, P256.privateKey)).toMatchObject({ text: "" });
  }
});

describe("when the budget ends", () => {
  const others = Array.from({ length: 20 }, () => asymmetricKey(ec().privateKey));
  const packet = Uint8Array.from(flattenedJwe({ key: P256.publicKey, alg: "ECDH-ES+A256KW" }, PLAIN));
  const limit = new Error("enough");

  async function openInSeven(keys: ReturnType<typeof asymmetricKey>[]) {
    const context = unwrapContext(keySet(...keys));
    const spend = () => {
      if (++context.spent > 7) throw limit;
    };
    return await unwrap(packet, { ...context, spend });
  }

  test("so does the trying", async () => {
    await expect(openInSeven(others)).rejects.toBe(limit);
    await expect(openInSeven([...others, asymmetricKey(P256.privateKey)])).rejects.toBe(limit);
  });

  test("what is under way is waited for", async () => {
    const opened = await openInSeven([...others.slice(0, 6), asymmetricKey(P256.privateKey), ...others]);
    expect(opened && Buffer.from(opened.options.bytes).toString()).toBe(PLAIN.toString());
  });
});
