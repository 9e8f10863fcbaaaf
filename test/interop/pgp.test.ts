import { createCipheriv, createHmac, randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { decodeBase64, encodeBase64 } from "../../src/encoding/base64.ts";
import { unwrap } from "../../src/keywrap/pgp/unwrap.ts";
import { prepare } from "../../src/keywrap/pgp/wrap.ts";
import type { Attempt, WrapSettings } from "../../src/keywrap/scheme.ts";
import { Secret } from "../../src/secret.ts";
import { KEYS_PREFIX, PUBLIC_OPTIONS } from "../../src/spec/annotations.ts";
import type { Descriptor } from "../../src/spec/descriptor.ts";
import { decode } from "../support/decoder.ts";
import { layersOf, sha256, tar, writeImage } from "../support/images.ts";
import { payload } from "../support/payload.ts";
import {
  describeWith,
  goDecoder,
  gpg,
  gpgNew,
  ours,
  output,
  type Peer,
  skopeo,
  skopeoNew,
} from "../support/peers.ts";
import { temporaryFolder } from "../support/temporary.ts";

type Bytes = Uint8Array<ArrayBuffer>;

const PGP = `${KEYS_PREFIX}pgp`;
const OPTIONS = Buffer.from('{"symkey":"c2VjcmV0","cipheroptions":{"nonce":"bm9uY2U="}}');
const folder = temporaryFolder();

/** A gpg home with the keys of some people, each known by <name>@example.org. */
class GpgHome {
  readonly path: string;

  constructor(name: string) {
    this.path = join(folder, name);
    mkdirSync(this.path, { mode: 0o700 });
  }

  run(args: readonly string[], options: { input?: Uint8Array; tool?: Peer } = {}): Promise<Buffer> {
    const fixed = ["--homedir", this.path, "--batch", "--no-tty", "--quiet", "--no-auto-key-locate"];
    const { input, tool = gpg } = options;
    return output(tool, [...fixed, "--trust-model", "always", ...args], input === undefined ? {} : { input });
  }

  secret(passphrase: string, args: readonly string[]): Promise<Buffer> {
    return this.run(["--pinentry-mode", "loopback", "--passphrase", passphrase, ...args]);
  }

  async generate(
    name: string,
    { primary, subkey, passphrase = "", userId = `<${name}@example.org>` }: NewKey,
  ) {
    await this.secret(passphrase, ["--quick-gen-key", userId, ...primary]);
    if (subkey === undefined) return;
    await this.secret(passphrase, ["--quick-add-key", await this.fingerprint(userId), ...subkey]);
  }

  async fingerprint(userId: string): Promise<string> {
    const lines = (await this.run(["--with-colons", "--list-keys", "--", userId])).toString().split("\n");
    return lines.find((line) => line.startsWith("fpr:"))?.split(":")[9] ?? "";
  }

  /** Ends the daemon that gpg has started. */
  async close(): Promise<void> {
    await output({ name: "gpgconf", command: "gpgconf", args: [] }, [
      "--homedir",
      this.path,
      "--kill",
      "all",
    ]);
  }
}

interface NewKey {
  readonly primary: readonly string[];
  readonly subkey?: readonly string[];
  readonly passphrase?: string;
  readonly userId?: string;
}

const KINDS: Readonly<Record<string, NewKey>> = {
  rsa2048: { primary: ["rsa2048", "cert", "0"], subkey: ["rsa2048", "encr", "0"] },
  rsa3072: { primary: ["rsa3072", "cert", "0"], subkey: ["rsa3072", "encr", "0"] },
  rsa4096: { primary: ["rsa4096", "cert", "0"], subkey: ["rsa4096", "encr", "0"] },
  cv25519: { primary: ["ed25519", "cert,sign", "0"], subkey: ["cv25519", "encr", "0"] },
  nistp256: { primary: ["nistp256", "cert,sign", "0"], subkey: ["nistp256", "encr", "0"] },
  nistp384: { primary: ["nistp384", "cert,sign", "0"], subkey: ["nistp384", "encr", "0"] },
  nistp521: { primary: ["nistp521", "cert,sign", "0"], subkey: ["nistp521", "encr", "0"] },
  brainpool: { primary: ["brainpoolP256r1", "cert,sign", "0"], subkey: ["brainpoolP256r1", "encr", "0"] },
  elgamal: { primary: ["dsa2048", "cert,sign", "0"], subkey: ["elg2048", "encr", "0"] },
  protected: {
    primary: ["ed25519", "cert,sign", "0"],
    subkey: ["cv25519", "encr", "0"],
    passphrase: "korrektes Pferd, größer",
  },
  "protected-rsa": {
    primary: ["rsa2048", "cert", "0"],
    subkey: ["rsa2048", "encr", "0"],
    passphrase: "correct horse",
  },
};
const NAMES = Object.keys(KINDS);
/** openpgp.js can't verify signatures on these curves, and ElGamal is no key to choose today. */
const WRITABLE = NAMES.filter((name) => name !== "brainpool" && name !== "elgamal");

function settingsFor(home: GpgHome): WrapSettings {
  return {
    environment: process.env,
    providerTimeoutMs: 1000,
    providerLegacyDc: false,
    verbose: false,
    gpgHomedir: home.path,
  };
}

async function wrapFor(
  home: GpgHome,
  recipients: readonly string[],
  options: Uint8Array = OPTIONS,
  isAnonymous = false,
): Promise<Bytes> {
  const [wrapper] = await prepare(recipients, { ...settingsFor(home), isAnonymous });
  return new Uint8Array((await wrapper?.wrap(new Uint8Array(options))) ?? []);
}

/** The options in a message as our own code opens it with a keyring, or the outcomes of its attempts. */
async function open(
  message: Uint8Array,
  keyring: Uint8Array,
  passphrase?: string,
): Promise<string | string[]> {
  const attempts: Attempt[] = [];
  const passphrases = passphrase ? [new Secret(new Uint8Array(Buffer.from(passphrase)))] : [];
  const opened = await unwrap(new Uint8Array(message), {
    keys: {
      keys: [],
      certificates: [],
      keyrings: [{ data: new Uint8Array(keyring), origin: "keyring", passphrases }],
      tokenKeys: [],
      parameters: new Map(),
      skipped: [],
    },
    settings: { environment: {}, providerTimeoutMs: 1000, providerLegacyDc: false, verbose: false },
    name: "",
    record: (attempt) => attempts.push(attempt),
    spend: () => {},
  });
  return opened === null
    ? attempts.map(({ outcome }) => outcome)
    : Buffer.from(opened.options.bytes).toString();
}

describeWith([gpg], "gpg", {}, () => {
  const home = new GpgHome("home");
  const keyrings = new Map<string, Buffer>();
  const keyringOf = (name: string) => keyrings.get(name) ?? Buffer.alloc(0);
  const passphraseOf = (name: string) => KINDS[name]?.passphrase ?? "";

  beforeAll(async () => {
    for (const name of NAMES) {
      const kind = KINDS[name];
      if (kind) await home.generate(name, kind);
      keyrings.set(
        name,
        await home.secret(passphraseOf(name), ["--export-secret-keys", `${name}@example.org`]),
      );
    }
  });
  afterAll(() => home.close());

  const encrypt = (name: string, ...args: string[]) =>
    home.run([...args, "--recipient", `<${name}@example.org>`, "--encrypt"], { input: OPTIONS });

  describe("its messages open with our code", () => {
    const opens = async (message: Uint8Array, name: string, keyring = keyringOf(name)) =>
      expect(await open(message, keyring, passphraseOf(name))).toBe(OPTIONS.toString());

    test.each(NAMES)("%s: keyring, armoured subkeys alone, key ID hidden", async (name) => {
      await opens(await encrypt(name), name);
      const args = ["--armor", "--export-secret-subkeys", `${name}@example.org`];
      await opens(await encrypt(name), name, await home.secret(passphraseOf(name), args));
      const hidden = ["--hidden-recipient", `<${name}@example.org>`, "--encrypt"];
      await opens(await home.run(hidden, { input: OPTIONS }), name);
    });

    test.each(["zip", "zlib", "bzip2", "uncompressed"])("compressed by %s", async (algorithm) => {
      for (const name of ["rsa2048", "cv25519"])
        await opens(await encrypt(name, "--compress-algo", algorithm), name);
    });

    test.each(["AES", "AES192", "AES256", "3DES", "CAST5"])("encrypted by %s", async (cipher) => {
      for (const name of ["rsa2048", "cv25519"])
        await opens(await encrypt(name, "--cipher-algo", cipher), name);
    });

    test("signed", async () => {
      const args = ["--local-user", "<cv25519@example.org>", "--sign"];
      await opens(await encrypt("rsa2048", ...args), "rsa2048");
    });

    test("for several recipients, one of them a password", async () => {
      const recipients = NAMES.flatMap((name) => ["--recipient", `<${name}@example.org>`]);
      const message = await home.run(
        [...recipients, "--pinentry-mode", "loopback", "--passphrase", "x", "--symmetric", "--encrypt"],
        { input: OPTIONS },
      );
      for (const name of NAMES) await opens(message, name);
    });

    test("all keys in one keyring", async () => {
      const ring = Buffer.concat([...keyrings.values()]);
      for (const name of ["rsa2048", "nistp521", "cv25519"]) await opens(await encrypt(name), name, ring);
    });

    test("a password alone is refused", async () => {
      const args = ["--pinentry-mode", "loopback", "--passphrase", "x", "--symmetric"];
      const message = await home.run(args, { input: OPTIONS });
      await expect(open(message, keyringOf("rsa2048"))).rejects.toMatchObject({ code: "BAD_PACKET" });
    });

    test("no integrity protection is refused", async () => {
      const message = await encrypt("rsa2048", "--rfc2440");
      await expect(open(message, keyringOf("rsa2048"))).rejects.toMatchObject({
        code: "BAD_PACKET",
        message: expect.stringContaining("without integrity protection"),
      });
    });

    test("the wrong passphrase, or none, is told", async () => {
      const message = await encrypt("protected");
      for (const passphrase of ["wrong", undefined]) {
        expect(await open(message, keyringOf("protected"), passphrase)).toEqual([
          expect.stringMatching(/passphrase/),
        ]);
      }
    });

    test("an expired key still opens", async () => {
      const then = ["--faked-system-time", "20200101T000000!"];
      const args = [...then, "--quick-gen-key", "<expired@example.org>", "rsa2048", "cert,encr", "2d"];
      await home.secret("", args);
      const ring = await home.secret("", ["--export-secret-keys", "expired@example.org"]);
      await opens(await encrypt("expired", ...then), "expired", ring);
      await expect(wrapFor(home, ["expired@example.org"])).rejects.toMatchObject({
        code: "BAD_RECIPIENT",
        message: expect.stringContaining("expired on 2020-01-03"),
      });
    });
  });

  describeWith([gpgNew], "its 2.4", {}, () => {
    const newHome = new GpgHome("new");
    beforeAll(async () => {
      await newHome.run(["--import"], { input: await home.run(["--export"]), tool: gpgNew });
    });

    test.each(NAMES)("OCB messages for %s open with our code", async (name) => {
      for (const extra of [[], ["--chunk-size", "6", "--compress-algo", "none"]]) {
        const args = ["--force-ocb", ...extra, "--recipient", `<${name}@example.org>`, "--encrypt"];
        const message = await newHome.run(args, { input: OPTIONS, tool: gpgNew });
        expect(await open(message, keyringOf(name), passphraseOf(name))).toBe(OPTIONS.toString());
      }
    });
  });

  describe("opens our messages", () => {
    const decrypt = async (message: Uint8Array, name: string) => {
      const passphrase = ["--pinentry-mode", "loopback", "--passphrase", passphraseOf(name)];
      const args = ["--try-secret-key", await home.fingerprint(`<${name}@example.org>`), "--decrypt"];
      return (await home.run([...passphrase, ...args], { input: message })).toString();
    };

    test.each(WRITABLE)("%s, by its address", async (name) => {
      expect(await decrypt(await wrapFor(home, [`${name}@example.org`]), name)).toBe(OPTIONS.toString());
    });

    test("by its public key in a file", async () => {
      const path = join(folder, "nistp384.asc");
      writeFileSync(path, await home.run(["--armor", "--export", "nistp384@example.org"]));
      expect(await decrypt(await wrapFor(home, [path]), "nistp384")).toBe(OPTIONS.toString());
    });

    test.each([false, true])("for several recipients, their key IDs hidden: %j", async (isHidden) => {
      const message = await wrapFor(home, ["rsa2048@example.org", "cv25519@example.org"], OPTIONS, isHidden);
      for (const name of ["rsa2048", "cv25519"]) {
        const only = new GpgHome(`only-${name}-${isHidden}`);
        await only.run(["--import"], { input: keyringOf(name) });
        expect((await only.run(["--decrypt"], { input: message })).toString()).toBe(OPTIONS.toString());
        await only.close();
      }
    });
  });

  describe("knows recipients by name", () => {
    const people = new GpgHome("people");
    afterAll(() => people.close());
    const kind: NewKey = { primary: ["ed25519", "cert,sign", "0"], subkey: ["cv25519", "encr", "0"] };

    beforeAll(async () => {
      await people.generate("alice", { ...kind, userId: "Alice Example <alice@example.org>" });
      await people.generate("malice", { ...kind, userId: "Malice <malice@example.org>" });
      await people.generate("bob", { ...kind, userId: "Bob One <bob@example.org>" });
      await people.run(["--import"], { input: await anotherBob() });
    });

    async function anotherBob(): Promise<Buffer> {
      const other = new GpgHome("other");
      await other.generate("bob", { ...kind, userId: "Bob Two <bob@example.org>" });
      const exported = await other.run(["--export"]);
      await other.close();
      return exported;
    }

    const refused = async (recipient: string, text: RegExp) =>
      expect(wrapFor(people, [recipient])).rejects.toMatchObject({
        code: "BAD_RECIPIENT",
        message: expect.stringMatching(text),
      });

    test("address, fingerprint, key ID, part of the user ID", async () => {
      const fingerprint = await people.fingerprint("alice@example.org");
      const ring = await people.secret("", ["--export-secret-keys", "<alice@example.org>"]);
      for (const name of ["alice@example.org", fingerprint, `0x${fingerprint.slice(-16)}`, "Alice Ex"]) {
        expect(await open(await wrapFor(people, [name]), ring)).toBe(OPTIONS.toString());
      }
    });

    test("an address is the whole address", () => refused("lice@example.org", /no public key of that name/));
    test("nobody", () => refused("carol@example.org", /is not a file, and.*no public key of that name/));
    test("an option is a name too", () => refused("--list-keys", /no public key of that name/));
    test("several", () => refused("bob@example.org", /several keys: .*Bob (One|Two).*, .*Bob (One|Two)/));

    test("a revoked key", async () => {
      await people.generate("dave", { ...kind, userId: "<dave@example.org>" });
      const fingerprint = await people.fingerprint("<dave@example.org>");
      const revocation = readFileSync(join(people.path, "openpgp-revocs.d", `${fingerprint}.rev`), "utf8");
      await people.run(["--import"], { input: Buffer.from(revocation.replace(":-----BEGIN", "-----BEGIN")) });
      await refused("dave@example.org", /is revoked/);
    });

    test("a home that does not exist", async () => {
      const settings = { ...settingsFor(people), gpgHomedir: join(folder, "nowhere") };
      await expect(prepare(["alice@example.org"], settings)).rejects.toMatchObject({ code: "BAD_RECIPIENT" });
    });
  });

  describeWith([goDecoder], "Go's decoder opens our messages", {}, () => {
    test.each(["rsa2048", "rsa3072", "rsa4096", "elgamal"].filter((it) => WRITABLE.includes(it)))(
      "%s",
      async (name) => {
        const layer = await encryptedLayer((options) =>
          wrapFor(home, ["cv25519@example.org", `${name}@example.org`, "protected-rsa@example.org"], options),
        );
        const keys = join(folder, `${name}.keys`);
        mkdirSync(keys);
        writeFileSync(join(keys, "secring.gpg"), keyringOf(name));
        const result = await decode(goDecoder, {
          layer: layer.ciphertext,
          payload: payload(layer.descriptor),
          mediaType: layer.descriptor.mediaType,
          args: ["--decryption-keys-path", keys],
        });
        expect(result).toMatchObject({ exit: 0, stderr: "" });
        expect(sha256(result.stdout)).toBe(layer.plainDigest);
      },
    );

    test("with hidden key IDs", async () => {
      const people = ["cv25519@example.org", "rsa3072@example.org"];
      const layer = await encryptedLayer((options) => wrapFor(home, people, options, true));
      const result = await decode(goDecoder, {
        layer: layer.ciphertext,
        payload: payload(layer.descriptor, { "gpg-privatekeys": [keyringOf("rsa3072")] }),
        mediaType: layer.descriptor.mediaType,
      });
      expect(result).toMatchObject({ exit: 0, stderr: "" });
      expect(sha256(result.stdout)).toBe(layer.plainDigest);
    });

    test("with a passphrase in the payload", async () => {
      const layer = await encryptedLayer((options) => wrapFor(home, ["protected-rsa@example.org"], options));
      const parameters = {
        "gpg-privatekeys": [keyringOf("protected-rsa")],
        "gpg-privatekeys-passwords": [passphraseOf("protected-rsa")],
      };
      const result = await decode(goDecoder, {
        layer: layer.ciphertext,
        payload: payload(layer.descriptor, parameters),
        mediaType: layer.descriptor.mediaType,
      });
      expect(sha256(result.stdout)).toBe(layer.plainDigest);
    });
  });

  for (const [index, tool] of [skopeo, skopeoNew].entries()) {
    describeWith([tool], `layers encrypted by ${tool.name} open with our code`, {}, () => {
      const names = ["rsa2048", "rsa3072", "rsa4096"];
      const layouts = {
        plain: join(folder, `plain-${index}`),
        encrypted: join(folder, `encrypted-${index}`),
      };
      // An elliptic curve's key in the keyring keeps it from finding the RSA keys.
      const rsaHome = new GpgHome(`rsa-${index}`);
      beforeAll(async () => {
        const input = await home.run(["--export", ...names.map((name) => `<${name}@example.org>`)]);
        await rsaHome.run(["--import"], { input });
      });
      afterAll(() => rsaHome.close());

      test.each(names)("%s", async (name) => {
        writeImage(layouts.plain, name, [
          { tar: await tar({ file: Buffer.from(name) }), compression: "gzip" },
        ]);
        const recipients = names.flatMap((it) => ["--encryption-key", `pgp:${it}@example.org`]);
        const copy = [`oci:${layouts.plain}:${name}`, `oci:${layouts.encrypted}:${name}`];
        const env = { ...process.env, GNUPGHOME: rsaHome.path };
        await output(tool, ["--insecure-policy", "copy", ...recipients, ...copy], { env });
        const [layer] = layersOf(layouts.encrypted, name);
        const message = decodeBase64(layer?.annotations?.[PGP] ?? "") ?? new Uint8Array();
        expect(JSON.parse(String(await open(message, keyringOf(name))))).toHaveProperty("symkey");
      });
    });
  }

  describeWith([ours], "our decoder", {}, () => {
    const decodeWith = async (layer: EncryptedLayer, descriptor: Descriptor, name: string) => {
      const parameters = {
        "gpg-privatekeys": [keyringOf(name)],
        "gpg-privatekeys-passwords": [passphraseOf(name)],
      };
      return decode(ours, {
        layer: layer.ciphertext,
        payload: payload(descriptor, parameters),
        mediaType: layer.descriptor.mediaType,
        env: { NODE_ENV: "development" },
      });
    };

    test.each(NAMES)("opens gpg's message for %s", async (name) => {
      const layer = await encryptedLayer((options) =>
        home.run(["--recipient", `<${name}@example.org>`, "--encrypt"], { input: options }),
      );
      const result = await decodeWith(layer, layer.descriptor, name);
      expect(result).toMatchObject({ exit: 0, stderr: "" });
      expect(sha256(result.stdout)).toBe(layer.plainDigest);
    });

    test.each(["rsa2048", "cv25519", "protected"])(
      "says one thing of a damaged message for %s",
      async (name) => {
        const layer = await encryptedLayer((options) =>
          home.run(["--recipient", `<${name}@example.org>`, "--encrypt"], { input: options }),
        );
        const message = decodeBase64(layer.descriptor.annotations?.[PGP] ?? "") ?? new Uint8Array();
        for (const at of [message.length - 1, message.length - 60, Math.floor(message.length / 2)]) {
          const damaged = message.slice();
          damaged[at] = (damaged[at] ?? 0) ^ 1;
          const annotations = { ...layer.descriptor.annotations, [PGP]: encodeBase64(damaged) };
          const result = await decodeWith(layer, { ...layer.descriptor, annotations }, name);
          expect(result).toMatchObject({ exit: 1, signal: null, stdout: Buffer.alloc(0) });
          expect(result.stderr).toMatch(/^ctd-decoder: error: .*\n(ctd-decoder: hint: .*\n)?$/);
        }
      },
    );
  });
});

interface EncryptedLayer {
  readonly descriptor: Descriptor;
  readonly ciphertext: Uint8Array;
  readonly plainDigest: string;
}

/** A layer as ocicrypt writes it (AES-256-CTR, HMAC-SHA256 over the ciphertext), its options wrapped by `wrap`. */
async function encryptedLayer(wrap: (options: Buffer) => Promise<Uint8Array>): Promise<EncryptedLayer> {
  const plain = await tar({ "etc/motd": randomBytes(5000) });
  const [key, nonce] = [randomBytes(32), randomBytes(16)];
  const ciphertext = createCipheriv("aes-256-ctr", key, nonce).update(plain);
  const plainDigest = sha256(plain);
  const options = {
    symkey: key.toString("base64"),
    digest: plainDigest,
    cipheroptions: { nonce: nonce.toString("base64") },
  };
  const publicOptions = {
    cipher: "AES_256_CTR_HMAC_SHA256",
    hmac: createHmac("sha256", key).update(ciphertext).digest("base64"),
    cipheroptions: {},
  };
  const annotations = {
    [PGP]: encodeBase64(await wrap(Buffer.from(JSON.stringify(options)))),
    [PUBLIC_OPTIONS]: Buffer.from(JSON.stringify(publicOptions)).toString("base64"),
  };
  const mediaType = "application/vnd.oci.image.layer.v1.tar+encrypted";
  return {
    descriptor: { mediaType, digest: sha256(ciphertext), size: ciphertext.length, annotations },
    ciphertext,
    plainDigest,
  };
}
