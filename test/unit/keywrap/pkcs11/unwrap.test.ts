import { constants, generateKeyPairSync, publicEncrypt } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test, vi } from "vitest";
import { DecoderError } from "../../../../src/errors.ts";
import type { KeySet } from "../../../../src/keys/keyset.ts";
import { TokenKeyring } from "../../../../src/keys/token/keyring.ts";
import type { OaepHash } from "../../../../src/keys/token/module-protocol.ts";
import { encodeMessage } from "../../../../src/keywrap/pkcs11/message.ts";
import { unwrap } from "../../../../src/keywrap/pkcs11/unwrap.ts";
import type { Attempt, Opened, UnwrapContext } from "../../../../src/keywrap/scheme.ts";
import { Secret } from "../../../../src/secret.ts";
import { cc, describeWith, output, softhsmUtil } from "../../../support/peers.ts";
import { temporaryFolder } from "../../../support/temporary.ts";
import {
  HELPER_ENVIRONMENT,
  keyFile,
  NSS,
  nssToken,
  policyFile,
  SOFTHSM,
  shim,
  softhsmToken,
  type TestToken,
  WRONG_PIN,
} from "../../../support/tokens.ts";

const folder = temporaryFolder();
const OPTIONS = Buffer.from(JSON.stringify({ symkey: "k".repeat(44), digest: "d".repeat(71) }));

interface Done {
  attempts: Attempt[];
  /** Private-key operations. */
  spent: number;
}

const none = (): Done => ({ attempts: [], spent: 0 });

function keySet(files: Readonly<Record<string, string>>): KeySet {
  const tokenKeys = Object.entries(files).map(([origin, yaml]) => ({
    origin,
    yaml: new Secret(new TextEncoder().encode(yaml)),
  }));
  return { keys: [], certificates: [], keyrings: [], tokenKeys, parameters: new Map(), skipped: [] };
}

interface Circumstances {
  readonly policy?: string;
  readonly timeoutMs?: number;
  readonly budget?: number;
}

function contextOf(
  keys: KeySet,
  { policy, timeoutMs, budget = 100 }: Circumstances,
  done: Done = none(),
): UnwrapContext {
  return {
    keys,
    name: "",
    settings: {
      environment: { ...HELPER_ENVIRONMENT, OCICRYPT_CONFIG: policy ?? "internal" },
      providerTimeoutMs: timeoutMs ?? 20_000,
      providerLegacyDc: false,
      verbose: false,
    },
    record: (attempt) => done.attempts.push(attempt),
    spend: () => {
      if (++done.spent > budget) throw new DecoderError("LIMIT", "the budget is spent");
    },
  };
}

/** Opens a packet with these key files. */
async function open(packet: Uint8Array<ArrayBuffer>, keys: KeySet, circumstances: Circumstances = {}) {
  const done = none();
  return { opened: await unwrap(packet, contextOf(keys, circumstances, done)), ...done };
}

function blobFor(token: TestToken, key: string, hash: OaepHash, options = OPTIONS) {
  const publicKey = token.publicKeys.get(key);
  if (publicKey === undefined) throw new Error(`no key ${key}`);
  const padding = constants.RSA_PKCS1_OAEP_PADDING;
  return { hash, blob: new Uint8Array(publicEncrypt({ key: publicKey, padding, oaepHash: hash }, options)) };
}

const text = (opened: Opened | null) => opened && Buffer.from(opened.options.bytes).toString();
const refusal = (words: RegExp) =>
  expect.objectContaining({ code: "PKCS11", message: expect.stringMatching(words) });

describeWith(SOFTHSM, "keys in SoftHSM", {}, () => {
  let token: TestToken;
  let other: TestToken;
  beforeAll(async () => {
    token = await softhsmToken(join(folder, "softhsm"), "node 1", { a: 2048, b: 3072, c: 2048 });
    other = await softhsmToken(join(folder, "other"), "node 2", { a: 2048 });
  });

  test("open a packet, by the distribution's module", async () => {
    const keys = keySet({ "node.yaml": keyFile(token, "a", { query: "module-name=softhsm2" }) });
    const { opened, attempts, spent } = await open(encodeMessage([blobFor(token, "a", "sha1")]), keys);
    expect(text(opened)).toBe(OPTIONS.toString());
    expect(opened).toMatchObject({ recipient: "RSA-2048 OAEP sha1", key: 'node.yaml (token "node 1")' });
    expect({ attempts, spent }).toEqual({ attempts: [], spent: 1 });
  });

  test.each([
    ["id", "id=%02"],
    ["serial, model and manufacturer", "object=b;model=SoftHSM%20v2;manufacturer=SoftHSM%20project"],
  ])("are found by %s", async (_what, path) => {
    const yaml = keyFile(token, "a").replace("object=a", path);
    const { opened } = await open(encodeMessage([blobFor(token, "b", "sha1")]), keySet({ "b.yaml": yaml }));
    expect(text(opened)).toBe(OPTIONS.toString());
  });

  test("are found without a word of the token, when there is one", async () => {
    const yaml = keyFile(token, "a").replace("token=node%201;", "");
    const { opened } = await open(encodeMessage([blobFor(token, "a", "sha1")]), keySet({ "a.yaml": yaml }));
    expect(text(opened)).toBe(OPTIONS.toString());
  });

  test("are RSA keys: others of the same name are passed over", async () => {
    const file = join(folder, "ec.pem");
    const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    writeFileSync(file, privateKey.export({ type: "pkcs8", format: "pem" }));
    const ec = ["--import", file, "--token", token.label, "--label", "a", "--id", "ec", "--pin", token.pin];
    await output(softhsmUtil, ec, { env: { ...process.env, ...token.environment } });
    const keys = keySet({ "a.yaml": keyFile(token, "a") });
    const { opened } = await open(encodeMessage([blobFor(token, "a", "sha1")]), keys);
    expect(text(opened)).toBe(OPTIONS.toString());
  });

  test("have the time for a packet again once one was opened", async () => {
    const keys = keySet({ "a.yaml": keyFile(token, "a") });
    const packet = encodeMessage([blobFor(token, "a", "sha1")]);
    const { time } = TokenKeyring.of(contextOf(keys, { timeoutMs: 20_000 }));
    const spend = async (milliseconds: number) => {
      const clock = vi.spyOn(performance, "now").mockReturnValueOnce(0).mockReturnValueOnce(milliseconds);
      await time.measure(async () => {});
      clock.mockRestore();
    };
    await spend(30_000);
    await open(packet, keys);
    await spend(30_000);
    expect(await time.measure(async (timeoutMs) => timeoutMs)).toBeLessThanOrEqual(10_000);
    await spend(10_000);
    await expect(time.measure(async () => {})).rejects.toMatchObject({ code: "LIMIT" });
    await expect(open(packet, keys)).rejects.toMatchObject({ code: "LIMIT" });
  });

  test("of several recipients only those of the key's size are tried", async () => {
    const packet = encodeMessage([
      blobFor(token, "b", "sha1"),
      blobFor(token, "c", "sha1"),
      blobFor(token, "b", "sha256"),
      blobFor(token, "a", "sha1"),
      blobFor(token, "c", "sha1"),
    ]);
    const { opened, attempts, spent } = await open(packet, keySet({ "a.yaml": keyFile(token, "a") }));
    expect(text(opened)).toBe(OPTIONS.toString());
    expect(attempts).toEqual([
      { recipient: "RSA-2048 OAEP sha1", key: 'a.yaml (token "node 1")', outcome: "the key does not fit" },
    ]);
    expect(spent).toBe(2);
  });

  test("of several key files one opens", async () => {
    const keys = keySet({
      "missing.yaml": keyFile(token, "missing"),
      "other.yaml": keyFile(other, "a"),
      "c.yaml": keyFile(token, "c"),
      "b.yaml": keyFile(token, "b"),
      "a.yaml": keyFile(token, "a"),
    });
    const { opened, spent } = await open(encodeMessage([blobFor(token, "a", "sha1")]), keys);
    expect(text(opened)).toBe(OPTIONS.toString());
    expect(opened?.key).toBe('a.yaml (token "node 1")');
    expect(spent).toBeLessThanOrEqual(3);
  });

  test("that several key files name are tried once", async () => {
    const keys = keySet({
      "1.yaml": keyFile(token, "c"),
      "2.yaml": keyFile(token, "c"),
      "3.yaml": keyFile(token, "a"),
    });
    const { opened, attempts, spent } = await open(encodeMessage([blobFor(token, "a", "sha1")]), keys);
    expect(text(opened)).toBe(OPTIONS.toString());
    expect(attempts).toMatchObject([
      { key: '1.yaml (token "node 1")', outcome: "the key does not fit" },
      { key: '2.yaml (token "node 1")', outcome: "the same key as 1.yaml" },
    ]);
    expect(spent).toBe(2);
  });

  test("when none fits, each is named with the reason", async () => {
    const keys = keySet({
      "a.yaml": keyFile(token, "a"),
      "b.yaml": keyFile(token, "b"),
      "missing.yaml": keyFile(token, "missing"),
      "broken.yaml": "pkcs11: {",
    });
    const { opened, attempts } = await open(encodeMessage([blobFor(token, "c", "sha1")]), keys);
    expect(opened).toBeNull();
    expect(attempts).toEqual([
      { recipient: "RSA-2048 OAEP sha1", key: 'a.yaml (token "node 1")', outcome: "the key does not fit" },
      { key: 'b.yaml (token "node 1")', outcome: expect.stringContaining("3072 bits") },
      { key: "broken.yaml", outcome: expect.stringContaining("YAML") },
      { key: "missing.yaml", outcome: expect.stringContaining('the token "node 1" has no private RSA key') },
    ]);
  });

  test("SHA-256, which SoftHSM refuses, is an outcome, and the next packet opens", async () => {
    const keys = keySet({ "b.yaml": keyFile(token, "b") });
    const first = await open(encodeMessage([blobFor(token, "b", "sha256")]), keys);
    expect(first.opened).toBeNull();
    expect(first.attempts).toEqual([
      expect.objectContaining({
        recipient: "RSA-3072 OAEP sha256",
        outcome: expect.stringMatching(/sha256: CKR_\w+$/),
      }),
    ]);
    const second = await open(
      encodeMessage([blobFor(token, "b", "sha256"), blobFor(token, "b", "sha1")]),
      keys,
    );
    expect(text(second.opened)).toBe(OPTIONS.toString());
  });

  test("a changed blob and a foreign one look the same", async () => {
    const keys = keySet({ "a.yaml": keyFile(token, "a") });
    const { hash, blob } = blobFor(token, "a", "sha1");
    const changed = { hash, blob: blob.slice() };
    changed.blob[200] = (changed.blob[200] ?? 0) ^ 1;
    const packet = encodeMessage([
      changed,
      blobFor(token, "c", "sha1"),
      { hash, blob: new Uint8Array(256).fill(0xff) },
      { hash, blob: new Uint8Array(256) },
    ]);
    const { attempts } = await open(packet, keys);
    expect(attempts).toHaveLength(4);
    expect(new Set(attempts.map(({ outcome }) => outcome))).toEqual(new Set(["the key does not fit"]));
  });

  test("the budget of private-key operations is heeded, and ends the search", async () => {
    const packet = encodeMessage(Array.from({ length: 5 }, () => blobFor(token, "c", "sha1")));
    const keys = keySet({ "a.yaml": keyFile(token, "a"), "b.yaml": keyFile(token, "b") });
    await expect(open(packet, keys, { budget: 3 })).rejects.toMatchObject({ code: "LIMIT" });
  });

  describe("what a key file may get wrong", () => {
    const one = (yaml: string, policy?: string) =>
      open(
        encodeMessage([blobFor(token, "a", "sha1")]),
        keySet({ "x.yaml": yaml }),
        policy === undefined ? {} : { policy },
      );

    test.each<[string, () => string, RegExp]>([
      [
        "the PIN",
        () => keyFile(token, "a", { pin: WRONG_PIN }),
        /x\.yaml: the token "node 1" refused the login: CKR_PIN_INCORRECT/,
      ],
      ["no PIN", () => keyFile(token, "a", { pin: undefined }), /neither pin-value nor pin-source/],
      ["the token", () => keyFile({ ...token, label: "node 9" }, "a"), /no token "node 9"/],
      [
        "the token's environment",
        () => keyFile({ ...token, environment: other.environment }, "a"),
        /no token "node 1"/,
      ],
      ["the key", () => keyFile(token, "z"), /no private RSA key that matches/],
      ["too little", () => keyFile(token, "a").replace(";object=a", ""), /several private RSA keys/],
      ["the slot", () => keyFile(token, "a").replace(";object", ";slot-id=7;object"), /matches the URI/],
      ["the module", () => keyFile(token, "a", { query: "module-name=nothing" }), /nothing was not found/],
      [
        "a module that is none",
        () => keyFile(token, "a", { query: "module-name=ssl" }),
        /can't be loaded: .*C_GetFunctionList/,
      ],
    ])("%s", async (_what, yaml, words) => {
      await expect(one(yaml())).rejects.toEqual(refusal(words));
    });

    test("a module that is not allowed", async () => {
      const policy = policyFile(join(folder, "policy.yaml"), ["/usr/lib/allowed/"]);
      await expect(one(keyFile(token, "a"), policy)).rejects.toEqual(
        refusal(/not allowed by .*policy\.yaml/),
      );
    });

    test.each(["serial=ffff", "model=other", "manufacturer=other"])("the token's %s", async (attribute) => {
      const yaml = keyFile(token, "a").replace(";object", `;${attribute};object`);
      await expect(one(yaml)).rejects.toEqual(refusal(/no token "node 1" that matches the URI, of 1/));
    });

    test("several tokens match: none is tried, lest one be locked", async () => {
      const twins = join(folder, "twins");
      const twin = await softhsmToken(twins, "twin", { a: 2048 });
      await softhsmToken(twins, "twin", {});
      const packet = encodeMessage([blobFor(twin, "a", "sha1")]);
      const ambiguous = open(packet, keySet({ "x.yaml": keyFile(twin, "a") }));
      await expect(ambiguous).rejects.toEqual(
        refusal(/add serial=[0-9a-f]+, or serial=[0-9a-f]+ for the other one$/),
      );

      const serials = await ambiguous.catch((error: Error) => error.message.match(/[0-9a-f]{16}/g));
      const files = [serials].flat().map((serial) => {
        return [`${serial}.yaml`, keyFile(twin, "a").replace(";object", `;serial=${serial};object`)];
      });
      expect(files).toHaveLength(2);
      const { opened } = await open(packet, keySet(Object.fromEntries(files)));
      expect(text(opened)).toBe(OPTIONS.toString());
    });
  });

  test("without a key file there is nothing to ask", async () => {
    const { opened, attempts } = await open(encodeMessage([blobFor(token, "a", "sha1")]), keySet({}));
    expect(opened).toBeNull();
    expect(attempts).toEqual([{ recipient: "RSA-2048 OAEP sha1", outcome: expect.any(String) }]);
  });

  test("without a policy nothing is loaded", async () => {
    const keys = keySet({ "x.yaml": keyFile(token, "a") });
    await expect(open(encodeMessage([blobFor(token, "a", "sha1")]), keys, { policy: "" })).rejects.toEqual(
      refusal(/OCICRYPT_CONFIG/),
    );
  });
});

describeWith([...SOFTHSM, cc], "a module that misbehaves", {}, () => {
  let token: TestToken;
  let sound: TestToken;
  let log: string;
  beforeAll(async () => {
    sound = await softhsmToken(join(folder, "shimmed"), "node 1", { a: 2048, b: 2048 });
    const { module, environment } = await shim(folder, sound.module);
    log = join(folder, "calls");
    token = { ...sound, module, environment: { ...sound.environment, ...environment, SHIM_LOG: log } };
  });

  const yaml = (environment: Readonly<Record<string, string>> = {}, pin = token.pin) =>
    keyFile(token, "a", { environment, pin });
  const packet = (...keys: string[]) => encodeMessage(keys.map((key) => blobFor(token, key, "sha1")));
  const policy = () => policyFile(join(folder, "shim.yaml"), [token.module, sound.module]);
  /** The calls that the shim logs, of this work alone. */
  async function calls(work: () => Promise<unknown>): Promise<string[]> {
    writeFileSync(log, "");
    await work();
    return readFileSync(log, "utf8").split("\n").slice(0, -1);
  }

  test("may print what it likes, and is closed when all is done", async () => {
    const made = await calls(async () => {
      const keys = keySet({ "a.yaml": yaml({ SHIM_NOISE: "1" }) });
      const { opened } = await open(packet("a"), keys, { policy: policy() });
      expect(text(opened)).toBe(OPTIONS.toString());
    });
    expect(made).toEqual(["C_Initialize", "C_Login", "C_Decrypt", "C_Finalize"]);
  });

  test.each(["C_Initialize", "C_Login", "C_Decrypt"])(
    "may crash in %s: the next key file opens",
    async (call) => {
      const keys = keySet({ "crash.yaml": yaml({ SHIM_CRASH: call }), "sound.yaml": keyFile(sound, "a") });
      const { opened, attempts } = await open(packet("a"), keys, { policy: policy() });
      expect(text(opened)).toBe(OPTIONS.toString());
      expect(opened?.key).toContain("sound.yaml");
      expect(attempts).toEqual([]);
    },
  );

  test("that crashes alone is the error", async () => {
    const keys = keySet({ "crash.yaml": yaml({ SHIM_CRASH: "C_Decrypt" }) });
    const words = /crash\.yaml: the module .*pkcs11-shim\.so crashed \(SIGABRT\)$/;
    await expect(open(packet("b", "a"), keys, { policy: policy() })).rejects.toEqual(refusal(words));
    const made = await calls(() =>
      expect(open(packet("a"), keys, { policy: policy() })).rejects.toEqual(refusal(words)),
    );
    expect(made).toEqual([]);
  });

  test.each(["C_Initialize", "C_Decrypt"])("may hang in %s: the next key file opens", async (call) => {
    const keys = keySet({ "hang.yaml": yaml({ SHIM_HANG: call }), "sound.yaml": keyFile(sound, "a") });
    const made = await calls(async () => {
      const { opened } = await open(packet("a"), keys, { policy: policy(), timeoutMs: 10_000 });
      expect(opened?.key).toContain("sound.yaml");
    });
    expect(made.at(-1)).toBe(call);
  });

  test.each([
    ["CKR_ENCRYPTED_DATA_INVALID", 0x40, "the key does not fit"],
    ["CKR_ENCRYPTED_DATA_LEN_RANGE", 0x41, "the key does not fit"],
    ["CKR_DATA_INVALID", 0x20, "the key does not fit"],
    ["CKR_FUNCTION_FAILED", 0x06, "the key does not fit"],
    ["CKR_GENERAL_ERROR", 0x05, "the key does not fit"],
    ["CKR_DEVICE_ERROR", 0x30, "the token failed: CKR_DEVICE_ERROR"],
    ["CKR_MECHANISM_PARAM_INVALID", 0x71, "the token failed: CKR_MECHANISM_PARAM_INVALID"],
  ])("may answer %s: only what is no padding's fault is told", async (_name, code, outcome) => {
    const keys = keySet({ "a.yaml": yaml({ SHIM_DECRYPT: String(code) }) });
    const { opened, attempts } = await open(packet("a"), keys, { policy: policy() });
    expect(opened).toBeNull();
    expect(attempts).toMatchObject([{ outcome }]);
  });

  test("may hang at the end: what it opened counts", async () => {
    const keys = keySet({ "hang.yaml": yaml({ SHIM_HANG: "C_Finalize" }) });
    const { opened } = await open(packet("a"), keys, { policy: policy() });
    expect(text(opened)).toBe(OPTIONS.toString());
  });

  test("may not take longer than two answers for a layer", async () => {
    const files = Array.from({ length: 5 }, (_, i) => [
      `${i}.yaml`,
      yaml({ SHIM_HANG: "C_Login", N: String(i) }),
    ]);
    const keys = keySet(Object.fromEntries(files));
    const made = await calls(() =>
      expect(open(packet("a"), keys, { policy: policy(), timeoutMs: 2000 })).rejects.toMatchObject({
        code: "LIMIT",
      }),
    );
    expect(made.filter((call) => call === "C_Login").length).toBeLessThanOrEqual(2);
  });

  describe("a PIN", () => {
    const WRONG = /refused the login: CKR_PIN_INCORRECT/;

    test("that is wrong is tried once, however many recipients, packets and key files there are", async () => {
      const keys = keySet({
        "1.yaml": yaml({}, WRONG_PIN),
        "2.yaml": yaml({}, WRONG_PIN),
        "3.yaml": yaml({ A: "1" }, WRONG_PIN),
      });
      const made = await calls(async () => {
        const packets = [packet("a", "b"), packet("b"), packet("b")];
        const results = await Promise.allSettled(packets.map((it) => open(it, keys, { policy: policy() })));
        expect(results.map((result) => result.status === "rejected" && result.reason)).toEqual(
          packets.map(() => refusal(WRONG)),
        );
      });
      expect(made.filter((call) => call === "C_Login")).toEqual(["C_Login"]);
    });

    test("is used once for all keys of a token", async () => {
      const b = keyFile(token, "b");
      const made = await calls(async () => {
        const { opened } = await open(packet("a"), keySet({ "b.yaml": b, "a.yaml": yaml() }), {
          policy: policy(),
        });
        expect(opened?.key).toContain("a.yaml");
      });
      expect(made.filter((call) => call === "C_Login")).toEqual(["C_Login"]);
    });

    test.each([
      ["the last try", 0x00020000, /locked by one more/],
      ["locked", 0x00040000, /has locked its PIN/],
    ])("is not tried when the token says that it is %s", async (_what, flag, words) => {
      const keys = keySet({ "a.yaml": yaml({ SHIM_FLAGS: String(flag) }) });
      const made = await calls(() =>
        expect(open(packet("a"), keys, { policy: policy() })).rejects.toEqual(refusal(words)),
      );
      expect(made).not.toContain("C_Login");
    });
  });
});

describeWith(NSS, "a key in NSS, which knows SHA-256", {}, () => {
  let token: TestToken;
  beforeAll(async () => {
    token = await nssToken(join(folder, "softokn"), "k", 3072);
  });

  test.each(["sha1", "sha256"] as const)("%s", async (hash) => {
    const policy = policyFile(join(folder, "nss.yaml"), [`${join(folder, "softokn")}/`]);
    const file = join(folder, "pin");
    writeFileSync(file, `${token.pin}\n`);
    const keys = keySet({
      "nss.yaml": keyFile(token, "k", {
        pin: undefined,
        query: `module-path=${token.module}&pin-source=file:${file}`,
      }),
    });
    const { opened, attempts } = await open(encodeMessage([blobFor(token, "k", hash)]), keys, { policy });
    expect(text(opened)).toBe(OPTIONS.toString());
    expect(opened?.recipient).toBe(`RSA-3072 OAEP ${hash}`);
    expect(attempts).toEqual([]);
  });
});
