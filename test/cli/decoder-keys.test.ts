import { execFileSync } from "node:child_process";
import { generateKeyPairSync, type KeyObject } from "node:crypto";
import {
  chmodSync,
  cpSync,
  linkSync,
  mkdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { type DecoderCall, decode } from "../support/decoder.ts";
import { plainBytes } from "../support/layer.ts";
import { payload } from "../support/payload.ts";
import { describeWith, openssl, ours, output, type Peer, root } from "../support/peers.ts";
import { rsaPair } from "../support/rsa.ts";
import { expectRefusal, seal } from "../support/sealed.ts";
import { temporaryFolder } from "../support/temporary.ts";

const folder = temporaryFolder();
const EC = generateKeyPairSync("ec", { namedCurve: "P-256" });
const RSA = rsaPair(2048);
const OTHER = generateKeyPairSync("ec", { namedCurve: "P-256" });

const pem = (key: KeyObject, type = "pkcs8") => String(key.export({ format: "pem", type } as never));
const jwk = (key: KeyObject) => key.export({ format: "jwk" });
const PEM = pem(EC.privateKey);
const LAYER = seal(plainBytes(1000), EC.publicKey);
const RSA_LAYER = seal(plainBytes(1000), RSA.publicKey);

let trees = 0;
/** A new keys folder with these files. */
function tree(files: Readonly<Record<string, string | Uint8Array>> = {}): string {
  const path = join(folder, `keys-${++trees}`);
  mkdirSync(path);
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(join(path, name, ".."), { recursive: true });
    writeFileSync(join(path, name), content);
  }
  return path;
}

/** A layout like the kubelet's: the keys are links through ..data, which is replaced atomically by a new version. */
function secretMount(files: Readonly<Record<string, string>>, version = "..2026_11_22_10_00_00.123"): string {
  const path = tree(
    Object.fromEntries(Object.entries(files).map(([name, content]) => [`${version}/${name}`, content])),
  );
  symlinkSync(version, join(path, "..data"));
  for (const name of Object.keys(files)) symlinkSync(`..data/${name}`, join(path, name));
  return path;
}

function run(
  keys: string,
  flags: readonly string[] = [],
  layer = LAYER,
  changes: Partial<DecoderCall> = {},
  decoder = ours,
) {
  const args = ["--decryption-keys-path", keys, ...flags];
  return decode(decoder, { layer: layer.ciphertext, payload: payload(layer.descriptor), args, ...changes });
}

async function expectOpens(...call: Parameters<typeof run>): Promise<void> {
  const { exit, stdout, stderr } = await run(...call);
  expect({ exit, stderr }).toEqual({ exit: 0, stderr: "" });
  expect(stdout.equals((call[2] ?? LAYER).plaintext)).toBe(true);
}

describeWith([ours], "a realistic keys folder", {}, () => {
  describe("the form of a key", () => {
    test.each<[string, string | Uint8Array]>([
      ["PKCS#8 PEM", PEM],
      ["SEC1 PEM", pem(EC.privateKey, "sec1")],
      ["DER", new Uint8Array(EC.privateKey.export({ format: "der", type: "sec1" }))],
      ["a JWK", JSON.stringify(jwk(EC.privateKey))],
      [
        "a JWK set with others",
        JSON.stringify({ keys: [{ kty: "oct", k: "AAAA" }, jwk(OTHER.privateKey), jwk(EC.privateKey)] }),
      ],
      ["PEM with CRLF", PEM.replaceAll("\n", "\r\n")],
      ["PEM after a byte order mark", `\uFEFF${PEM}`],
      ["a JWK after a byte order mark", `\uFEFF${JSON.stringify(jwk(EC.privateKey))}`],
      ["PEM after text", `Key of node 1\nissued: 2026\n\n${PEM}\nend\n`],
      ["PEM without a last line end", PEM.trimEnd()],
      ["several PEM blocks", pem(OTHER.privateKey) + pem(EC.publicKey, "spki") + PEM],
    ])("%s", async (_what, content) => expectOpens(tree({ key: content })));
  });

  test("files that are not keys are skipped silently", async () => {
    const keys = tree({
      "1-README.md": "# Keys\n",
      "2-public.pem": pem(EC.publicKey, "spki"),
      "3-empty": "",
      "4-binary": plainBytes(5000),
      "5-cut.pem": PEM.slice(0, 100),
      "6-broken.json": '{"kty":',
      "7-huge": plainBytes(2 * 1024 * 1024),
      "8-small-rsa.pem": pem(rsaPair(1024).privateKey),
      "9-ed25519.pem": pem(generateKeyPairSync("ed25519").privateKey),
      "deep/er/key.pem": PEM,
    });
    await expectOpens(keys);
    rmSync(join(keys, "deep"), { recursive: true });
    const result = await run(keys);
    expectRefusal(
      result,
      /1-README\.md: not a key of a known kind; 2-public\.pem: a public key; 3-empty: not a key/,
    );
    expect(result.stderr).toContain("7-huge: larger than any key");
    expect(result.stderr).toMatch(
      /8-small-rsa\.pem: an RSA key of 1024 bits.*; 9-ed25519\.pem: a private key of a type/,
    );
  });

  test("a folder, FIFO, socket or device with a key's name does not stop it", async () => {
    const keys = tree({ "z.pem": PEM });
    mkdirSync(join(keys, "a-folder.pem"));
    execFileSync("mkfifo", [join(keys, "b-fifo.pem")]);
    symlinkSync("b-fifo.pem", join(keys, "c-link.pem"));
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(join(keys, "d-socket"), resolve));
    await expectOpens(keys);
    await expectOpens(keys, ["--allow-external-symlinks"]);
    server.close();
    expectRefusal(await run(join(keys, "b-fifo.pem"), [], LAYER), /b-fifo\.pem: not a regular file/);
    expectRefusal(
      await run(keys, ["--strict-keys"], LAYER),
      /b-fifo\.pem can't be used: not a regular file\n/,
    );
  });

  describe("Kubernetes Secret mounts", () => {
    test("are read through ..data, each key once", async () => {
      const keys = secretMount({ "a.pem": pem(OTHER.privateKey), "node.pem": PEM });
      await expectOpens(keys);
      await expectOpens(keys, ["--strict-keys"]);
      const result = await run(keys, [], RSA_LAYER);
      expectRefusal(result, /no key here is of that type and size/);
      const other = await run(secretMount({ "a.pem": pem(OTHER.privateKey) }));
      expectRefusal(other, /with a\.pem \(EC P-256/);
      expect(other.stderr.match(/does not fit/g)).toHaveLength(1);
    });

    test("a single file in one can be the keys path", async () => {
      await expectOpens(join(secretMount({ "node.pem": PEM }), "node.pem"));
    });

    test("an older version that is still in the folder is not used", async () => {
      const keys = secretMount({ "node.pem": pem(OTHER.privateKey) });
      mkdirSync(join(keys, "..2025_01_01_00_00_00.1"));
      writeFileSync(join(keys, "..2025_01_01_00_00_00.1/node.pem"), PEM);
      expectRefusal(await run(keys), /does not fit/);
    });

    test("while ..data is replaced repeatedly, one of the versions is found", async () => {
      const keys = secretMount({ "node.pem": PEM });
      let version = 0;
      let [older, last] = ["none", "..2026_11_22_10_00_00.123"];
      const exchange = () => {
        const next = `..v${++version}`;
        cpSync(join(keys, last), join(keys, next), { recursive: true });
        symlinkSync(next, join(keys, "..data_tmp"));
        renameSync(join(keys, "..data_tmp"), join(keys, "..data"));
        rmSync(join(keys, older), { recursive: true, force: true });
        [older, last] = [last, next];
      };
      const timer = setInterval(exchange, 2);
      try {
        for (let i = 0; i < 20; i++) await expectOpens(keys);
      } finally {
        clearInterval(timer);
      }
      expect(version).toBeGreaterThan(20);
    });

    test("a passwords mount beside the keys works", async () => {
      const encrypted = String(
        EC.privateKey.export({ format: "pem", type: "pkcs8", cipher: "aes-256-cbc", passphrase: "open" }),
      );
      const [keys, passwords] = [
        secretMount({ "node.pem": encrypted }),
        secretMount({ "node.pem": "open\n" }),
      ];
      await expectOpens(keys, ["--key-passwords-path", passwords]);
    });
  });

  describe("symlinks that leave the folder", () => {
    const outside = tree({ "node.pem": PEM, "more/node.pem": PEM });

    test.each(["node.pem", "more"])(
      "to %s are followed with --allow-external-symlinks only",
      async (target) => {
        const keys = tree();
        symlinkSync(join(outside, target), join(keys, "link"));
        expectRefusal(
          await run(keys),
          /link: a symlink that leaves the directory \(--allow-external-symlinks follows it\)/,
        );
        await expectOpens(keys, ["--allow-external-symlinks"]);
        expectRefusal(await run(keys, ["--strict-keys"]), /link can't be used: a symlink that leaves/);
      },
    );

    test("a hard link is a file of the folder", async () => {
      const keys = tree();
      linkSync(join(outside, "node.pem"), join(keys, "node.pem"));
      await expectOpens(keys);
    });

    test("the keys path itself may be one", async () => {
      symlinkSync(outside, join(folder, "link-to-keys"));
      await expectOpens(join(folder, "link-to-keys"));
    });
  });

  describe("--strict-keys stops at the first that can't be used", () => {
    test.each<[string, Readonly<Record<string, string>>, RegExp]>([
      [
        "an unknown file",
        { "a.txt": "hello", "z.pem": PEM },
        /a\.txt can't be used: not a key of a known kind/,
      ],
      [
        "a public key",
        { "a.pub": pem(EC.publicKey, "spki"), "z.pem": PEM },
        /a\.pub can't be used: a public key/,
      ],
      ["one after the key that opens it", { "a.pem": PEM, "z.txt": "hello" }, /z\.txt can't be used/],
      [
        "an encrypted key",
        {
          "a.pem": String(
            EC.privateKey.export({ format: "pem", type: "pkcs8", cipher: "aes-128-cbc", passphrase: "x" }),
          ),
          "z.pem": PEM,
        },
        /a\.pem can't be used: an encrypted key without a password/,
      ],
    ])("%s", async (_what, files, message) => {
      const result = await run(tree(files), ["--strict-keys"]);
      expectRefusal(result, message);
      expect(result.stderr).toMatch(/hint: .*without --strict-keys/);
      if (files["z.pem"] !== undefined) await expectOpens(tree(files));
    });
  });

  describeWith([root], "a decoder that is not root", {}, () => {
    const nobody: Peer = {
      ...ours,
      command: "setpriv",
      args: ["--reuid=65534", "--regid=65534", "--clear-groups", ours.command],
    };
    beforeAll(() => {
      // Down to the keys, which another user has to reach.
      for (let path = folder; path !== "/"; path = join(path, ".."))
        if (path.startsWith("/tmp/")) chmodSync(path, 0o755);
    });

    test("skips files and folders that it may not read", async () => {
      const keys = tree({ "a.pem": pem(OTHER.privateKey), "b/key.pem": PEM, "z.pem": PEM });
      chmodSync(join(keys, "a.pem"), 0o600);
      chmodSync(join(keys, "b"), 0o700);
      await expectOpens(keys, [], LAYER, {}, nobody);
      expectRefusal(
        await run(keys, ["--strict-keys"], LAYER, {}, nobody),
        /a\.pem can't be used: permission denied\n/,
      );
      chmodSync(join(keys, "z.pem"), 0o600);
      expectRefusal(
        await run(keys, [], LAYER, {}, nobody),
        /a\.pem: permission denied; b: permission denied; z\.pem: permission denied/,
      );
    });

    test("reports that it may not read the keys path", async () => {
      const keys = tree({ "z.pem": PEM });
      chmodSync(keys, 0o700);
      expectRefusal(await run(keys, [], LAYER, {}, nobody), /keys-\d+: permission denied/);
    });

    test("reports that it may not read a password", async () => {
      const keys = tree({ "z.pem": PEM });
      const passwords = tree({ "z.pem": "hunter2" });
      chmodSync(join(passwords, "z.pem"), 0o600);
      const result = await run(keys, ["--key-passwords-path", passwords], LAYER, {}, nobody);
      expectRefusal(result, /password file .*z\.pem: permission denied/, ["hunter2"]);
    });
  });
});

describeWith([ours, openssl], "encrypted keys", {}, () => {
  const plain = tree({ "ec.pem": PEM, "rsa.pem": pem(RSA.privateKey) });
  const ec = join(plain, "ec.pem");
  const rsa = join(plain, "rsa.pem");
  const PASSWORD = "correct horse";
  const passwords = tree({ "key.pem": `${PASSWORD}\n` });
  const wrong = tree({ "key.pem": "battery staple" });
  const secrets = [PASSWORD, "battery staple"];

  const pkcs8 = (...args: string[]) => [
    "pkcs8",
    "-topk8",
    "-in",
    ec,
    "-passout",
    `pass:${PASSWORD}`,
    ...args,
  ];
  const traditional = (cipher: string) => [
    "rsa",
    "-traditional",
    "-in",
    rsa,
    cipher,
    "-passout",
    `pass:${PASSWORD}`,
  ];
  const prfs = ["SHA1", "SHA224", "SHA256", "SHA384", "SHA512"];
  const forms: [string, string[]][] = [
    ...prfs.map((hash): [string, string[]] => [
      `PBES2, HMAC-${hash}`,
      pkcs8("-v2", "aes-256-cbc", "-v2prf", `hmacWith${hash}`),
    ]),
    ...["aes-128-cbc", "aes-192-cbc", "des3"].map((cipher): [string, string[]] => [
      `PBES2, ${cipher}`,
      pkcs8("-v2", cipher),
    ]),
    ["PBES2, scrypt", pkcs8("-scrypt")],
    ["PBES2 as DER", pkcs8("-v2", "aes-256-cbc", "-outform", "DER")],
    ...["-aes128", "-aes192", "-aes256", "-des3"].map((cipher): [string, string[]] => [
      `traditional, ${cipher}`,
      traditional(cipher),
    ]),
  ];

  test.each(forms)("%s", async (_what, args) => {
    const layer = args[0] === "rsa" ? RSA_LAYER : LAYER;
    const content = await output(openssl, args);
    const keys = tree({ "key.pem": content });
    await expectOpens(keys, ["--key-passwords-path", passwords], layer);
    await expectOpens(keys, ["--key-passwords-path", join(passwords, "key.pem")], layer);
    const fromPayload = payload(layer.descriptor, { privkeys: [content], "privkeys-passwords": [PASSWORD] });
    await expectOpens(tree(), [], layer, { payload: fromPayload });
    const shared = payload(layer.descriptor, { "privkeys-passwords": [null, "other", PASSWORD] });
    await expectOpens(keys, [], layer, { payload: shared });
    expectRefusal(
      await run(keys, ["--key-passwords-path", wrong], layer),
      /key\.pem: an encrypted key that none of the given passwords opens/,
      secrets,
    );
    expectRefusal(
      await run(keys, [], layer),
      /key\.pem: an encrypted key without a password for it/,
      secrets,
    );
  });

  test("a password whose key is not encrypted does no harm", async () => {
    await expectOpens(tree({ "key.pem": PEM }), ["--key-passwords-path", passwords]);
  });

  test("a missing passwords path is reported", async () => {
    expectRefusal(
      await run(tree({ "key.pem": PEM }), ["--key-passwords-path", "/missing"]),
      /passwords path \/missing: no such file/,
    );
  });
});
