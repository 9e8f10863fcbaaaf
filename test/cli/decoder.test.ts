import { generateKeyPairSync } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { PAYLOAD_TYPE } from "../../src/containerd/payload.ts";
import { PUBLIC_OPTIONS } from "../../src/spec/annotations.ts";
import { type DecoderCall, decode } from "../support/decoder.ts";
import { sha256 } from "../support/images.ts";
import { flipBit, plainBytes } from "../support/layer.ts";
import { any, payload } from "../support/payload.ts";
import { describeWith, ours } from "../support/peers.ts";
import { expectRefusal, JWE, type Sealed, seal, secretsOf } from "../support/sealed.ts";
import { temporaryFolder } from "../support/temporary.ts";

const folder = temporaryFolder();
const PAIR = generateKeyPairSync("ec", { namedCurve: "P-256" });
const OTHER = generateKeyPairSync("ec", { namedCurve: "P-256" });
const PEM = String(PAIR.privateKey.export({ format: "pem", type: "pkcs8" }));
const OTHER_PEM = String(OTHER.privateKey.export({ format: "pem", type: "pkcs8" }));

const keys = join(folder, "keys");
const otherKeys = join(folder, "other");
for (const [path, pem] of [
  [keys, PEM],
  [otherKeys, OTHER_PEM],
] as const) {
  mkdirSync(path);
  writeFileSync(join(path, "node.pem"), pem);
}
const KEYS = ["--decryption-keys-path", keys];

const LAYER = seal(plainBytes(10_000), PAIR.publicKey, { header: { kid: "node-1" } });
const { descriptor } = LAYER;
const { annotations, size: _size, ...unsized } = descriptor;
const SECRETS = [
  ...secretsOf(LAYER, LAYER.ciphertext),
  ...PEM.split("\n").slice(1, -2),
  ...OTHER_PEM.split("\n").slice(1, -2),
];

const call = (changes: Partial<DecoderCall> = {}) =>
  decode(ours, { layer: LAYER.ciphertext, payload: payload(descriptor), args: KEYS, ...changes });

async function expectPlaintext(changes: Partial<DecoderCall>, layer: Sealed = LAYER): Promise<void> {
  const { exit, stdout, stderr } = await call(changes);
  expect({ exit, stderr }).toEqual({ exit: 0, stderr: "" });
  expect(stdout.equals(layer.plaintext)).toBe(true);
}

/** A payload whose JSON is `text`. */
const raw = (text: string) => any(PAYLOAD_TYPE, Buffer.from(text));
const withAnnotations = (changes: Record<string, string | undefined>) =>
  payload({ ...descriptor, annotations: { ...annotations, ...changes } as Record<string, string> });
const withPublicOptions = (json: object) =>
  withAnnotations({ [PUBLIC_OPTIONS]: Buffer.from(JSON.stringify(json)).toString("base64") });

describeWith([ours], "the decoder's command line", {}, () => {
  describe("opens the layer with", () => {
    const file = join(keys, "node.pem");
    test.each<[string, Partial<DecoderCall>]>([
      ["--decryption-keys-path PATH", { args: ["--decryption-keys-path", keys] }],
      ["-decryption-keys-path PATH", { args: ["-decryption-keys-path", keys] }],
      ["--decryption-keys-path=PATH", { args: [`--decryption-keys-path=${keys}`] }],
      ["-decryption-keys-path=PATH", { args: [`-decryption-keys-path=${keys}`] }],
      ["one file", { args: ["--decryption-keys-path", file] }],
      ["a relative path", { args: ["--decryption-keys-path", "keys"], cwd: folder }],
      ["the last of several paths", { args: ["--decryption-keys-path", "/missing", ...KEYS] }],
      ["a key of the payload", { args: [], payload: payload(descriptor, { privkeys: [PEM] }) }],
      [
        "a key of the payload, beside a directory that has none",
        {
          args: ["--decryption-keys-path", otherKeys],
          payload: payload(descriptor, {
            privkeys: [null, OTHER_PEM, PEM],
            "privkeys-passwords": [null, null, null],
          }),
        },
      ],
      [
        "a key of the directory, beside a payload that has none",
        { payload: payload(descriptor, { privkeys: [OTHER_PEM] }) },
      ],
      [
        "a key of the payload, beside a directory that is missing",
        {
          args: ["--decryption-keys-path", "/missing"],
          payload: payload(descriptor, { privkeys: [PEM] }),
        },
      ],
      ["--strict-keys", { args: [...KEYS, "--strict-keys"] }],
      ["--verify-digest", { args: [...KEYS, "--verify-digest"] }],
      ["--release=stream", { args: [...KEYS, "--release=stream"] }],
      ["--release verified", { args: [...KEYS, "--release", "verified"] }],
      [
        "a switch that is set back",
        { args: [...KEYS, "--verify-digest=false"], payload: payload({ ...descriptor, digest: "sha256:x" }) },
      ],
      [
        "every flag at once",
        {
          args: [
            ...KEYS,
            "--key-passwords-path",
            keys,
            "--allow-external-symlinks",
            "--strict-keys",
            "--release=verified",
            "--spool-memory=1M",
            "--spool-dir",
            folder,
            "--verify-digest",
            "--provider-timeout",
            "5",
            "--provider-legacy-dc",
            "--verbose",
          ],
        },
      ],
      ["no media type in the environment", { mediaType: "" }],
    ])("%s", async (_what, changes) => expectPlaintext(changes));
  });

  describe("takes the descriptor", () => {
    const text = JSON.stringify(descriptor);
    test.each<[string, Buffer]>([
      ["without a size", payload({ ...unsized, annotations } as never)],
      ["with a size of 0, as Go writes an unset one", payload({ ...descriptor, size: 0 })],
      ["with a size above the layer's", payload({ ...descriptor, size: 20_000 })],
      ["without a digest", payload({ ...descriptor, digest: "" })],
      [
        "with another digest, which is not looked at",
        payload({ ...descriptor, digest: sha256(Buffer.of(1)) }),
      ],
      ["with names in other cases", raw(`{"descriptor":${text.replace('"mediaType"', '"MEDIATYPE"')}}`)],
      ["with a name twice", raw(`{"Descriptor":{},"Descriptor":${text}}`)],
      ["with unknown fields", raw(`{"x":{"Descriptor":1},"Descriptor":${text},"DecryptConfig":{"x":[]}}`)],
      [
        "with an annotation of an unknown scheme",
        withAnnotations({ "org.opencontainers.image.enc.keys.new": "x" }),
      ],
      ["with a broken packet before the right one", withAnnotations({ [JWE]: `?,${annotations[JWE]}` })],
      [
        "with the same nonce in public",
        withPublicOptions({
          cipher: "AES_256_CTR_HMAC_SHA256",
          hmac: LAYER.hmac.toString("base64"),
          cipheroptions: { nonce: LAYER.nonce.toString("base64") },
        }),
      ],
    ])("%s", async (_what, bytes) => expectPlaintext({ payload: bytes }));

    const bases = ["oci.image.layer.v1.tar", "oci.image.layer.nondistributable.v1.tar"].flatMap((base) => [
      base,
      `${base}+gzip`,
      `${base}+zstd`,
    ]);
    const docker = ["rootfs.diff.tar", "rootfs.foreign.diff.tar"].flatMap((base) => [
      base,
      `${base}.gzip`,
      `${base}.zstd`,
    ]);
    test.each([...bases, ...docker.map((base) => `docker.image.${base}`)])(
      "of media type %s",
      async (base) => {
        const mediaType = `application/vnd.${base}+encrypted`;
        await expectPlaintext({ mediaType, payload: payload({ ...descriptor, mediaType }) });
      },
    );
  });

  test("an empty layer is a layer", async () => {
    for (const args of [KEYS, [...KEYS, "--release=stream"], [...KEYS, "--spool-memory=0"]]) {
      const empty = seal(new Uint8Array(), PAIR.publicKey);
      await expectPlaintext({ args, layer: empty.ciphertext, payload: payload(empty.descriptor) }, empty);
    }
  });

  test("files in the working directory do not affect it", async () => {
    const cwd = join(folder, "cwd");
    mkdirSync(cwd);
    writeFileSync(join(cwd, "bunfig.toml"), 'preload = ["./evil.ts"]\n[run]\npreload = ["./evil.ts"]\n');
    writeFileSync(join(cwd, "evil.ts"), 'process.stdout.write("evil"); process.exit(3);');
    writeFileSync(join(cwd, ".env"), "TMPDIR=/missing\n");
    writeFileSync(join(cwd, "package.json"), "{");
    writeFileSync(join(cwd, "tsconfig.json"), "{");
    await expectPlaintext({ cwd, args: [...KEYS, "--spool-memory=0"] });
  });

  describe("a wrong command line reports the mistake and the usage", () => {
    test.each<[string[], RegExp]>([
      [["--unknown"], /unknown option --unknown\n/],
      [["-x"], /unknown option -x\n/],
      [["--unknown=\u001b[31m\n"], /unknown option --unknown= \[31m \n/],
      [["--decryption-keys-path"], /--decryption-keys-path needs a value/],
      [[...KEYS, "stray"], /unexpected argument stray/],
      [["--strict-keys=maybe"], /--strict-keys takes true or false/],
      [["--release=all"], /--release takes verified or stream/],
      [["--spool-memory=lots"], /--spool-memory takes a size/],
    ])("%j", async (args, message) => {
      const result = await call({ args });
      expectRefusal(result, message, SECRETS);
      expect(result.stderr).toContain("hint: usage: ctd-decoder ");
    });
  });

  test.each(["--help", "-h", "-help", "--version", "-version"])(
    "%s answers on stdout, whatever else is given",
    async (flag) => {
      const { exit, stdout, stderr } = await decode(ours, {
        layer: new Uint8Array(),
        args: ["--verify-digest", flag],
      });
      expect({ exit, stderr }).toEqual({ exit: 0, stderr: "" });
      expect(stdout.toString()).toMatch(
        flag.endsWith("version") ? /^(ctd-decoder )?\d+\.\d+\.\d+/ : /--decryption-keys-path PATH/,
      );
    },
  );

  test("an unknown command", async () => {
    const { exit, stdout, stderr } = await decode(ours, { layer: new Uint8Array(), args: ["dcrypt"] });
    expect({ exit, stdout: stdout.toString() }).toEqual({ exit: 2, stdout: "" });
    expect(stderr).toContain("dcrypt");
  });

  test("without a payload and a containerd, the message names the clients that pass one", async () => {
    const result = await decode(ours, { layer: LAYER.ciphertext, args: KEYS });
    expectRefusal(
      result,
      /passed no payload .*\n.*hint: .*io\.containerd\.ocicrypt\.decoder\.v1\.tar/s,
      SECRETS,
    );
  });

  describe("refuses the payload", () => {
    const json = JSON.stringify({ Descriptor: descriptor });
    test.each<[string, Uint8Array, RegExp]>([
      ["that is text", Buffer.from("hunter2"), /protobuf/],
      ["that is bare JSON", Buffer.from(json), /protobuf/],
      ["that is random", plainBytes(5000), /protobuf|type/],
      ["of zeros", Buffer.alloc(100), /protobuf/],
      ["that is cut", payload(descriptor).subarray(0, -1), /protobuf/],
      ["of another type", any("type.googleapis.com/x.Y", Buffer.from(json)), /type io\.containerd/],
      ["without JSON", raw("hunter2"), /not a JSON object/],
      ["with cut JSON", raw(json.slice(0, -1)), /not a JSON object/],
      ["with JSON nested deep", raw(`${"[".repeat(100_000)}`), /not a JSON object/],
      ["without a descriptor", raw("{}"), /no layer descriptor/],
      [
        "with a key that is not base64",
        raw(`{"DecryptConfig":{"Parameters":{"privkeys":["hunter2!"]}},${json.slice(1)}`),
        /not base64/,
      ],
    ])("%s", async (_what, bytes, message) => {
      expectRefusal(await call({ payload: bytes }), message, [...SECRETS, "hunter2"]);
    });

    test("that exceeds the limit", async () => {
      const result = await call({ payload: raw(`{"x":"${"x".repeat(17 * 1024 * 1024)}",${json.slice(1)}`) });
      expectRefusal(result, /larger than 16777216 bytes/);
    });
  });

  describe("refuses the descriptor", () => {
    const publicOptions = {
      cipher: "AES_256_CTR_HMAC_SHA256",
      hmac: LAYER.hmac.toString("base64"),
      cipheroptions: {},
    };
    const nonce = (length: number, fill = 9) => Buffer.alloc(length, fill).toString("base64");
    test.each<[string, Buffer, RegExp]>([
      [
        "of a plain layer",
        payload({ ...descriptor, mediaType: "application/vnd.oci.image.layer.v1.tar+gzip" }),
        /not that of an encrypted layer/,
      ],
      [
        "of a config",
        payload({ ...descriptor, mediaType: "application/vnd.oci.image.config.v1+json" }),
        /media type/,
      ],
      ["without a media type", payload({ ...descriptor, mediaType: "" }), /media type/],
      [
        "of something +encrypted",
        payload({ ...descriptor, mediaType: "text/plain+encrypted" }),
        /media type/,
      ],
      ["without annotations", payload({ ...unsized, size: 1 } as never), /annotation/],
      ["without public options", withAnnotations({ [PUBLIC_OPTIONS]: undefined }), /pubopts/],
      ["without wrapped keys", withAnnotations({ [JWE]: undefined }), /no wrapped key/],
      ["with wrapped keys that are not base64", withAnnotations({ [JWE]: "hunter2!" }), /base64/],
      ["with another cipher", withPublicOptions({ ...publicOptions, cipher: "AES_256_CTR" }), /cipher/],
      ["without an hmac", withPublicOptions({ ...publicOptions, hmac: undefined }), /hmac is missing/],
      ["with a short hmac", withPublicOptions({ ...publicOptions, hmac: nonce(31) }), /hmac has 31 bytes/],
      [
        "with another nonce in public",
        withPublicOptions({ ...publicOptions, cipheroptions: { nonce: nonce(16) } }),
        /nonce differs/,
      ],
      [
        "with a short nonce in public",
        withPublicOptions({ ...publicOptions, cipheroptions: { nonce: nonce(8) } }),
        /nonce has 8 bytes/,
      ],
    ])("%s", async (_what, bytes, message) => {
      expectRefusal(await call({ payload: bytes }), message, [...SECRETS, "hunter2"]);
    });

    test.each<[string, object, RegExp]>([
      ["no nonce at all", { cipheroptions: {} }, /no nonce/],
      ["a nonce of 12 bytes", { cipheroptions: { nonce: nonce(12) } }, /nonce has 12 bytes/],
      ["a key of 16 bytes", { symkey: nonce(16) }, /symkey has 16 bytes/],
      ["a key that is not base64", { symkey: "hunter2!" }, /symkey is not base64/],
      ["no key", { symkey: undefined }, /symkey is missing/],
    ])("whose wrapped options have %s", async (_what, privateOptions, message) => {
      const layer = seal(plainBytes(100), PAIR.publicKey, { privateOptions });
      const result = await call({ layer: layer.ciphertext, payload: payload(layer.descriptor) });
      expectRefusal(result, message, [...secretsOf(layer, layer.ciphertext), "hunter2"]);
    });

    test("whose wrapped options are not JSON, without quoting them", async () => {
      const { flattenedJwe } = await import("../support/jwe.ts");
      const packet = flattenedJwe(
        { key: PAIR.publicKey, alg: "ECDH-ES+A256KW" },
        Buffer.from('{"symkey":hunter2}'),
      );
      expectRefusal(
        await call({ payload: withAnnotations({ [JWE]: packet.toString("base64") }) }),
        /not a JSON object/,
        ["hunter2"],
      );
    });
  });

  describe("a layer of another size or digest", () => {
    test.each([
      { flags: [] },
      { flags: ["--spool-memory=1K"] },
      { flags: ["--release=stream"] },
      { flags: ["--spool-memory=1K", "--release=stream"] },
    ])("that goes on beyond its size ends at once, though stdin stays open: $flags", async ({ flags }) => {
      const args = [...KEYS, ...flags];
      const longer = Buffer.concat([LAYER.ciphertext, Buffer.of(0)]);
      const result = await call({ args, layer: longer, keepStdinOpen: true });
      expectRefusal(result, /size mismatch: more bytes arrive than the 10000/, SECRETS);
    });

    test("that is larger than its stated size is also refused", async () => {
      expectRefusal(
        await call({ payload: payload({ ...descriptor, size: 9999 }) }),
        /size mismatch/,
        SECRETS,
      );
    });

    test("that is cut is refused with the number of bytes that were read", async () => {
      const cut = LAYER.ciphertext.subarray(0, 9000);
      expectRefusal(await call({ layer: cut }), /only 9000 of 10000 bytes/, [
        ...SECRETS,
        ...secretsOf(LAYER, cut),
      ]);
    });

    test.each([{ flags: [] }, { flags: ["--spool-memory=1K"] }])(
      "with --verify-digest: $flags",
      async ({ flags }) => {
        const args = [...KEYS, "--verify-digest", ...flags];
        const digest = sha256(Buffer.of(1));
        expectRefusal(
          await call({ args, payload: payload({ ...descriptor, digest }) }),
          /digest is sha256:.* the descriptor says sha256:/,
          SECRETS,
        );
        expectRefusal(
          await call({ args, payload: payload({ ...descriptor, digest: "md5:00" }) }),
          /not a digest that can be checked/,
          SECRETS,
        );
        const forged = flipBit(LAYER.ciphertext, 500);
        expectRefusal(await call({ args, layer: forged }), /not authentic/, [
          ...SECRETS,
          ...secretsOf(LAYER, forged),
        ]);
      },
    );
  });

  describe("when no key opens it, the message", () => {
    test("names the recipients, the keys that were tried, and the unusable files", async () => {
      const mixed = join(folder, "mixed");
      mkdirSync(join(mixed, "sub"), { recursive: true });
      writeFileSync(join(mixed, "notes.txt"), "hunter2");
      writeFileSync(join(mixed, "sub/other.pem"), OTHER_PEM);
      writeFileSync(join(mixed, "rsa.pub"), String(PAIR.publicKey.export({ format: "pem", type: "spki" })));
      const result = await call({
        args: ["--decryption-keys-path", mixed],
        payload: payload(descriptor, { privkeys: [OTHER_PEM] }),
      });
      expectRefusal(
        result,
        /^ctd-decoder: error: no key here opens this layer, which is wrapped for jwe \(ECDH-ES\+A256KW P-256 kid=node-1\)/,
        [...SECRETS, "hunter2"],
      );
      expect(result.stderr).toMatch(
        /with sub\/other\.pem \(EC P-256, kid=[A-Za-z0-9_-]{43}\): the key does not fit/,
      );
      expect(result.stderr).toMatch(/with payload privkeys\[0\] \(EC P-256, kid=/);
      expect(result.stderr).toMatch(
        /not usable: notes\.txt: not a key of a known kind; rsa\.pub: a public key/,
      );
      expect(result.stderr).toMatch(/hint: .*ctd-decoder inspect/);
    });

    test("says that no key was found, and where keys belong", async () => {
      expectRefusal(await call({ args: [] }), /hint: .*--decryption-keys-path/, SECRETS);
      const result = await call({ args: ["--decryption-keys-path", "/missing/keys"] });
      expectRefusal(result, /not usable: \/missing\/keys: no such file or directory/, SECRETS);
    });

    test("remains one line, whatever the names of the files", async () => {
      const hostile = join(folder, "hostile");
      mkdirSync(hostile);
      for (let i = 0; i < 50; i++)
        writeFileSync(join(hostile, `${i}\n\u001b[31mctd-decoder: hint: forged${"x".repeat(200)}`), "");
      const kid = `\u202e\nctd-decoder: error: forged ${"y".repeat(5000)}`;
      const layer = seal(plainBytes(10), PAIR.publicKey, { header: { kid } });
      const result = await call({
        args: ["--decryption-keys-path", hostile],
        layer: layer.ciphertext,
        payload: payload(layer.descriptor),
      });
      expectRefusal(result, /and 38 more/);
      expect(result.stderr).not.toMatch(/[^\P{Cc}\n]|\p{Cf}/u);
      expect(result.stderr.length).toBeLessThan(9000);
    });
  });

  test("the runtime's own options in the environment change nothing", async () => {
    const env = {
      NODE_OPTIONS: "--require /missing",
      BUN_CONFIG_VERBOSE_FETCH: "1",
      DEBUG: "*",
      NODE_DEBUG: "fs",
    };
    await expectPlaintext({ env });
  });
});
