/**
 * Writes the corpus: one well-formed input of each kind, which the campaigns start from. The files are committed, so that
 * a seed means the same cases everywhere; keys are new each time this is run. `node test/fuzz/make-corpus.ts`
 */
import { createPublicKey, generateKeyPairSync } from "node:crypto";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { generateKey } from "openpgp";
import { prepare } from "../../src/keywrap/pkcs7/wrap.ts";
import { compact, flatten, flattenedJwe, general, generalJwe } from "../support/jwe.ts";
import { field, payload } from "../support/payload.ts";
import { keyring, literal, makeKey, packet, seal } from "../unit/keywrap/pgp/messages.ts";
import {
  holder,
  OID,
  OPTIONS,
  packetFor,
  recipientInfo,
  writePacket,
} from "../unit/keywrap/pkcs7/packets.ts";
import { CORPUS } from "./corpus.ts";
import { writeArchives } from "./make-archives.ts";
import { writeGpgSignature, writeSignatures } from "./make-signatures.ts";

const WRAP_SETTINGS = {
  environment: {},
  providerTimeoutMs: 0,
  providerLegacyDc: false,
  verbose: false,
  certificates: { allowExpired: true, allowCa: true, allowKeyUsage: true },
};

const options = Buffer.from(OPTIONS);
const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
const p256 = generateKeyPairSync("ec", { namedCurve: "P-256" });
const node = holder({ publicKey: rsa.publicKey, privateKey: rsa.privateKey });
const pgp = await makeKey();
const pgpRsa = await makeKey({ type: "rsa", rsaBits: 2048 });
const json = (value: unknown) => Buffer.from(JSON.stringify(value));
const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64");

rmSync(CORPUS, { recursive: true, force: true });
const save = (path: string, content: string | Uint8Array) => {
  mkdirSync(dirname(join(CORPUS, path)), { recursive: true });
  writeFileSync(join(CORPUS, path), content);
};

const ecSpec = { key: p256.publicKey, alg: "ECDH-ES+A256KW" };
const rsaSpec = { key: rsa.publicKey, alg: "RSA-OAEP" };
const jwe = flattenedJwe(ecSpec, options);
save("jwe/ec-flattened", jwe);
save("jwe/rsa-flattened", flattenedJwe(rsaSpec, options));
save("jwe/cbc", flattenedJwe({ ...ecSpec, header: { kid: "node-1", apu: "QQ" } }, options, "A128CBC-HS256"));
save("jwe/general", general(generalJwe([rsaSpec, ecSpec], options)));
save("jwe/flattened-header", flatten(generalJwe([ecSpec], options)));
save(
  "jwe/compact",
  compact({ ...generalJwe([ecSpec], options), protected: { alg: "RSA-OAEP", enc: "A256GCM" } }),
);

const descriptor = {
  mediaType: "application/vnd.oci.image.layer.v1.tar+gzip+encrypted",
  digest: `sha256:${"ab".repeat(32)}`,
  size: 4096,
  annotations: {
    "org.opencontainers.image.enc.keys.jwe": base64(jwe),
    "org.opencontainers.image.enc.pubopts": base64(
      json({ cipher: "AES_256_CTR_HMAC_SHA256", hmac: base64(Buffer.alloc(32, 1)), cipheroptions: {} }),
    ),
  },
};
const parameters = { privkeys: ["key"], "privkeys-passwords": [null], x509s: ["cert"] };
save("any/cri", payload(descriptor));
save(
  "any/more-fields",
  Buffer.concat([field(7, Buffer.from("x")), Buffer.from([0x18, 5, 0x25, 1, 2, 3, 4]), payload(descriptor)]),
);
save("payload/cri", json({ DecryptConfig: { Parameters: null }, Descriptor: descriptor }));
save(
  "payload/parameters",
  json({
    DecryptConfig: { Parameters: { privkeys: ["a2V5"], "privkeys-passwords": [null, "Zm9v"] } },
    Descriptor: descriptor,
  }),
);
save("any/parameters", payload(descriptor, parameters));

save("keys/p256.pem", p256.privateKey.export({ type: "pkcs8", format: "pem" }));
save("keys/p256-sec1.pem", p256.privateKey.export({ type: "sec1", format: "pem" }));
save("keys/rsa-pkcs1.pem", rsa.privateKey.export({ type: "pkcs1", format: "pem" }));
save(
  "keys/p256-encrypted.pem",
  p256.privateKey.export({ type: "pkcs8", format: "pem", cipher: "aes-256-cbc", passphrase: "no" }),
);
save(
  "keys/rsa-traditional.pem",
  rsa.privateKey.export({ type: "pkcs1", format: "pem", cipher: "aes-128-cbc", passphrase: "no" }),
);
save(
  "keys/certificate.pem",
  `-----BEGIN CERTIFICATE-----\n${base64(node.certificate.der)}\n-----END CERTIFICATE-----\n`,
);
save("keys/public.pem", createPublicKey(p256.privateKey).export({ type: "spki", format: "pem" }));
save(
  "keys/pgp.asc",
  (await generateKey({ type: "ecc", curve: "nistP256", userIDs: [{ name: "A" }] })).privateKey,
);
save(
  "keys/pkcs11.yaml",
  "pkcs11:\n  uri: pkcs11:token=t;object=k?pin-value=1234\nmodule:\n  env:\n    SOFTHSM2_CONF: /x\n",
);
save("der/p256-pkcs8", p256.privateKey.export({ type: "pkcs8", format: "der" }));
save("der/p256-sec1", p256.privateKey.export({ type: "sec1", format: "der" }));
save("der/rsa-pkcs1", rsa.privateKey.export({ type: "pkcs1", format: "der" }));
save("der/rsa-pkcs8", rsa.privateKey.export({ type: "pkcs8", format: "der" }));
save(
  "der/encrypted",
  p256.privateKey.export({ type: "pkcs8", format: "der", cipher: "aes-256-cbc", passphrase: "no" }),
);
save("der/public", p256.publicKey.export({ type: "spki", format: "der" }));
save("der/certificate", node.certificate.der);
save(
  "jwk/p256",
  json({ ...p256.privateKey.export({ format: "jwk" }), kid: "node-1", use: "enc", alg: "ECDH-ES+A256KW" }),
);
save("jwk/rsa", json(rsa.privateKey.export({ format: "jwk" })));
save("jwk/set", json({ keys: [p256.privateKey.export({ format: "jwk" }), { kty: "oct", k: "AAAA" }] }));

save("cms/authenticated", packetFor(node));
save(
  "cms/enveloped",
  writePacket({
    contentType: OID.envelopedData,
    recipients: (key) => [recipientInfo(node, key, { by: "keyId" }), recipientInfo(node, key)],
  }),
);
const [wrapper] = await prepare([join(CORPUS, "keys/certificate.pem")], WRAP_SETTINGS);
if (wrapper) save("cms/peers", (await wrapper.wrap(options)) ?? "");

save("pgp/message", await seal(pgp.toPublic(), literal()));
save("pgp/two-recipients", await seal([pgp.toPublic(), pgpRsa.toPublic()], literal()));
save("pgp/hidden", await seal(pgpRsa.toPublic(), literal(), { hidden: true }));
save("pgp/marker", Buffer.concat([packet(10, Buffer.from("PGP")), await seal(pgpRsa.toPublic(), literal())]));
save("keyring/ecc", pgp.write());
save("keyring/rsa", pgpRsa.write());
save(
  "keyring/protected",
  keyring(
    (
      await generateKey({
        type: "ecc",
        curve: "nistP256",
        userIDs: [{ name: "A" }],
        passphrase: "secret",
        format: "object",
      })
    ).privateKey,
  ).data,
);

save(
  "pkcs11-message/sha256",
  json({ version: 0, recipients: [{ version: 0, blob: base64(Buffer.alloc(256, 3)), hash: "sha256" }] }),
);
save(
  "pkcs11-message/old",
  json({ version: 0, recipients: [{ version: 0, blob: base64(Buffer.alloc(256, 3)) }] }),
);
save(
  "pkcs11-uri/full",
  "pkcs11:token=my%20token;serial=12;manufacturer=M;model=X;slot-id=3;object=key;id=%00%ff;type=private?module-path=/usr/lib/m.so&pin-value=12%2034",
);
save("pkcs11-uri/source", "pkcs11:object=k?module-name=softhsm2&pin-source=file:/etc/pin");
save("pkcs11-yaml/key", readFileSync(join(CORPUS, "keys/pkcs11.yaml")));
save(
  "pkcs11-yaml/anchors",
  "a: &a {SOFTHSM2_CONF: /x}\npkcs11: {uri: 'pkcs11:object=k'}\nmodule:\n  env: *a\n  other: [*a, *a]\n",
);
save(
  "policy/peers",
  "pkcs11:\n  module-directories:\n    - /usr/lib/pkcs11/\n  allowed-module-paths:\n    - /usr/lib/pkcs11/\n    - /opt/m.so\n",
);

save("provider-answer/text", json({ keyunwrapresults: { optsdata: base64(options) } }));
save("provider-answer/list", json({ keywrapresults: null, keyunwrapresults: { optsdata: [...options] } }));
save(
  "provider-config/both",
  json({
    "key-providers": {
      p: { cmd: { path: "/bin/true", args: ["-x"] } },
      q: {
        grpc: "host:50051",
        "grpc-tls": {
          "root-ca-file": "/ca.pem",
          "cert-file": "/c.pem",
          "key-file": "/k.pem",
          "server-name": "s",
          "insecure-skip-verify": false,
        },
      },
    },
  }),
);

save(
  "options/public",
  json({
    cipher: "AES_256_CTR_HMAC_SHA256",
    hmac: base64(Buffer.alloc(32, 1)),
    cipheroptions: { nonce: base64(Buffer.alloc(16)) },
  }),
);
save(
  "options/private",
  json({
    symkey: base64(Buffer.alloc(32, 2)),
    digest: `sha256:${"ab".repeat(32)}`,
    cipheroptions: { nonce: base64(Buffer.alloc(16)) },
  }),
);

const diffId = `sha256:${"cd".repeat(32)}`;
const blob = (mediaType: string) => ({ mediaType, digest: diffId, size: 123 });
save(
  "document/manifest",
  json({
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.manifest.v1+json",
    config: blob("application/vnd.oci.image.config.v1+json"),
    layers: [descriptor],
    annotations: { a: "b" },
    subject: blob("x"),
  }),
);
save(
  "document/index",
  json({
    schemaVersion: 2,
    manifests: [
      {
        ...blob("application/vnd.oci.image.manifest.v1+json"),
        platform: { os: "linux", architecture: "amd64", variant: "v8" },
      },
    ],
  }),
);
save(
  "document/config",
  json({ os: "linux", architecture: "amd64", rootfs: { type: "layers", diff_ids: [diffId] } }),
);
save("document/layout", json({ imageLayoutVersion: "1.0.0" }));

save(
  "bolt/one-pull.gz",
  readFileSync(join(import.meta.dirname, "../unit/containerd/store/fixtures/one-pull.db.gz")),
);
save("compressed/gzip", gzipSync(Buffer.from("text ".repeat(200))));
save("compressed/two-members", Buffer.concat([gzipSync(Buffer.alloc(100)), gzipSync(Buffer.from("b"))]));
save("compressed/zstd", zstdCompressSync(Buffer.from("text ".repeat(200))));
save(
  "compressed/zstd-frames",
  Buffer.concat([
    zstdCompressSync(Buffer.alloc(9)),
    Buffer.from([0x50, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 7]),
    zstdCompressSync(Buffer.from("b")),
  ]),
);
for (const [name, bytes] of await writeArchives()) save(`archive/${name}`, bytes);
writeSignatures(save);
await writeGpgSignature(save);
