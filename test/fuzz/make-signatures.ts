/** The part of the corpus that is about signatures: right ones, with the trusted root and the keys that they are by. */
import { sign } from "node:crypto";
import { createMessage, generateKey, sign as signOpenPgp } from "openpgp";
import { preAuthentication } from "../../src/trust/check/statement.ts";
import { hashedrekord, newKey, pemOf, Sigstore, sha256, spkiOf } from "../support/sigstore.ts";

const HEX = "ab".repeat(32);
const IN_TOTO = "application/vnd.in-toto+json";
const json = (value: unknown) => Buffer.from(JSON.stringify(value));
const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64");

type Save = (path: string, content: string | Uint8Array) => void;

export function writeSignatures(save: Save): void {
  const store = new Sigstore();
  const key = newKey();
  const leaf = store.leaf(key.publicKey);
  const pem = pemOf("CERTIFICATE", leaf);
  save("trusted-root/root", json(store.trustedRoot()));
  save("signature-key/key.pub", pemOf("PUBLIC KEY", spkiOf(key.publicKey)));
  for (const [name, der] of [
    ["leaf", leaf],
    ["intermediate", store.intermediateCertificate],
    ["stamper", store.stamperCertificate],
  ] as const)
    save(`signature-certificate/${name}`, der);

  const payload = json({
    critical: {
      identity: { "docker-reference": "registry.example.test/app:1" },
      image: { "docker-manifest-digest": `sha256:${HEX}` },
      type: "cosign container image signature",
    },
    optional: { env: "prod", build: 7 },
  });
  const signature = sign("sha256", payload, key.privateKey);
  save("signature-payload/cosign", payload);
  const stamp = store.timestamp(signature);
  save("signature-timestamp/stamp", stamp);
  const entry = store.signedEntry(hashedrekord(payload, signature, pem));
  save("signature-entry/hashedrekord", entry);
  const material = { payload: base64(payload), signature: base64(signature) };
  const timestamp = JSON.stringify({ SignedRFC3161Timestamp: base64(stamp) });
  save("signature-simple/keyless", json({ ...material, certificate: pem, rekorBundle: entry, timestamp }));
  save("signature-simple/key", json(material));

  const statement = json({
    _type: "https://in-toto.io/Statement/v1",
    subject: [{ name: "registry.example.test/app:1", digest: { sha256: HEX }, annotations: { env: "prod" } }],
    predicateType: "https://sigstore.dev/cosign/sign/v1",
    predicate: {},
  });
  save("signature-statement/sign", statement);
  const sig = sign("sha256", preAuthentication({ payloadType: IN_TOTO, payload: statement }), key.privateKey);
  const dsseEnvelope = {
    payload: base64(statement),
    payloadType: IN_TOTO,
    signatures: [{ sig: base64(sig) }],
  };
  save("signature-envelope/sign", json(dsseEnvelope));
  const mediaType = "application/vnd.dev.sigstore.bundle.v0.3+json";
  const byKey = { publicKey: { hint: "" }, tlogEntries: [] };
  save("signature-bundle/key", json({ mediaType, verificationMaterial: byKey, dsseEnvelope }));
  const dsse = {
    apiVersion: "0.0.1",
    kind: "dsse",
    spec: {
      payloadHash: { algorithm: "sha256", value: sha256(statement).toString("hex") },
      signatures: [{ signature: base64(sig), verifier: base64(Buffer.from(pem)) }],
    },
  };
  const keyless = {
    certificate: { rawBytes: base64(leaf) },
    tlogEntries: [store.tlogEntry(dsse)],
    timestampVerificationData: { rfc3161Timestamps: [{ signedTimestamp: base64(store.timestamp(sig)) }] },
  };
  save("signature-bundle/keyless", json({ mediaType, verificationMaterial: keyless, dsseEnvelope }));
  save("signature-log/dsse", json(dsse));
  save("signature-log/hashedrekord", json(hashedrekord(payload, signature, pem)));

  const line = `${HEX}  kubectl\n`;
  save("sums/gnu", line + line.replace("  kubectl", " *bin/kubelet"));
  save("sums/bsd", `SHA256 (kubectl) = ${HEX}\n`);
  save(
    "challenge/bearer",
    `Bearer realm="https://registry.example.test/token",service="r",scope="repository:app:pull"`,
  );
  save("challenge/several", `Negotiate dG9rZW4=, Basic realm="a \\"b\\"", bearer realm=https://other.test/t`);
  savePolicies(save);
  savePoliciesWithKeys(save, {
    key: pemOf("PUBLIC KEY", spkiOf(key.publicKey)),
    log: pemOf("PUBLIC KEY", spkiOf(store.rekor.publicKey)),
    root: pemOf("CERTIFICATE", store.rootCertificate),
    leaf: pem,
  });
  saveArtifacts(save);
}

interface Pems {
  readonly key: string;
  readonly log: string;
  readonly root: string;
  readonly leaf: string;
}

/** Policies of every format whose keys and certificates can be read. */
export function savePoliciesWithKeys(save: Save, { key, log, root, leaf }: Pems): void {
  const data = (pem: string) => base64(Buffer.from(pem));
  const fulcio = { caData: data(root), oidcIssuer: "https://issuer.test", subjectEmail: "dev@example.test" };
  const signed = [
    { keyDatas: [data(key)], rekorPublicKeyData: data(log) },
    { fulcio, rekorPublicKeyDatas: [data(log)] },
    { pki: { caRootsData: data(root), subjectHostname: "example.test" } },
  ];
  const rules = signed.map((it) => ({ type: "sigstoreSigned", ...it }));
  save("trust-policy/containers-keys", json({ default: rules, transports: { docker: {} } }));
  const block = (pem: string, indent: string) => `|\n${pem.trimEnd().replace(/^/gm, indent)}`;
  save(
    "trust-policy-yaml/kubewarden",
    `# every image\nsignatures:\n  - image: "*"\n    pubKeys:\n      - ${block(key, "        ")}
    annotations: &env { env: prod, "quoted": 'it''s' }
  - image: registry.example.test/*\n    certificates: [${JSON.stringify(leaf)}]
    certificateChain: ${JSON.stringify(root)}\n    requireRekorBundle: True\n    annotations: *env\n`,
  );
  save(
    "trust-policy-yaml/cluster-image-policy",
    `apiVersion: policy.sigstore.dev/v1beta1\nkind: ClusterImagePolicy\nmetadata: { name: a }\nspec:
  images: [{ glob: "**" }]\n  authorities:\n    - name: x\n      key:\n        data: ${block(key, "          ")}
      attestations: [{ name: sbom, predicateType: spdx }]\n---\n---\nkind: ClusterImagePolicy\nspec:
  images:\n  - glob: >-\n      registry.example.test/**\n  authorities:\n  - keyless:\n      ca-cert:
        data: ${block(root, "          ")}\n      identities:\n      - issuer: https://issuer.test
        subjectRegExp: "(?i)^dev.*"\n`,
  );
}

/** Manifests and indexes under which signatures are found. */
export function saveArtifacts(save: Save): void {
  const layer = (mediaType: string, annotations: object = {}) => ({
    mediaType,
    digest: `sha256:${HEX}`,
    size: 1,
    annotations,
  });
  const signature = { "dev.cosignproject.cosign/signature": "AAAA" };
  const bundle = "application/vnd.dev.sigstore.bundle.v0.3+json";
  const manifest = {
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.manifest.v1+json",
    artifactType: bundle,
    config: layer("application/vnd.oci.empty.v1+json"),
    subject: layer("application/vnd.oci.image.manifest.v1+json"),
  };
  const simple = layer("application/vnd.dev.cosign.simplesigning.v1+json", signature);
  const envelope = layer("application/vnd.dsse.envelope.v1+json", { predicateType: "x" });
  save("signature-artifact/payloads", json({ ...manifest, layers: [simple, envelope] }));
  // It is read as an index, too: every manifest that it names is itself.
  const manifests = [layer("application/vnd.oci.image.manifest.v1+json")];
  save("signature-artifact/bundle", json({ ...manifest, layers: [layer(bundle)], manifests }));
}

/** An OpenPGP message as skopeo signs it, and its keyring. */
export async function writeGpgSignature(save: Save): Promise<void> {
  const userIDs = [{ name: "Dev", email: "dev@example.test" }];
  const { privateKey, publicKey } = await generateKey({ userIDs, format: "object" });
  const message = await createMessage({ binary: json({ critical: {} }) });
  save("signature-key/gpg.pub", publicKey.write());
  save("signature-gpg/message", await signOpenPgp({ message, signingKeys: privateKey, format: "binary" }));
}

function savePolicies(save: Save): void {
  const reject = { type: "reject" };
  const repository = [
    {
      type: "sigstoreSigned",
      keyData: base64(Buffer.from("key")),
      signedIdentity: { type: "matchRepository" },
    },
    { type: "signedBy", keyType: "GPGKeys", keyData: base64(Buffer.from("key")) },
  ];
  save(
    "trust-policy/containers",
    json({
      default: [reject],
      transports: {
        docker: {
          "registry.example.test/app": repository,
          "*.example.test": [{ type: "insecureAcceptAnything" }],
        },
        oci: { "": [reject] },
      },
    }),
  );
  save(
    "trust-policy/kubewarden",
    json({
      signatures: [
        { image: "registry.example.test/*", githubActions: { owner: "org", repo: "app" } },
        {
          image: "*",
          keyless: [{ issuer: "https://issuer.test", subject: "dev@example.test" }],
          annotations: { env: "prod" },
        },
      ],
      modifyImagesWithDigest: true,
    }),
  );
  save(
    "trust-policy/cluster-image-policy",
    json({
      apiVersion: "policy.sigstore.dev/v1beta1",
      kind: "ClusterImagePolicy",
      metadata: { name: "p" },
      spec: {
        images: [{ glob: "registry.example.test/**" }],
        authorities: [
          {
            keyless: {
              url: "https://fulcio.test",
              identities: [{ issuerRegExp: "https://.*", subject: "dev@example.test" }],
            },
          },
          { static: { action: "pass" } },
        ],
      },
    }),
  );
}
