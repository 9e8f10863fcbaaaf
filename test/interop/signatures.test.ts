import { generateKeyPairSync } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { command, ONE_ERROR, succeed } from "../support/cli.ts";
import { type DockerRegistry, startDockerRegistry } from "../support/docker-registry.ts";
import { tar, writeImage } from "../support/images.ts";
import {
  cosign2,
  cosign3,
  describeWith,
  openssl,
  ours,
  output,
  type Peer,
  registry,
  run,
  skopeo,
  skopeoNew,
} from "../support/peers.ts";
import { Sigstore } from "../support/sigstore.ts";
import { temporaryFolder } from "../support/temporary.ts";

const folder = temporaryFolder();
const plain = join(folder, "plain");
const PASSWORD = { COSIGN_PASSWORD: "between us" };
const peerEnvironment = { ...process.env, ...PASSWORD, HOME: folder, TUF_ROOT: join(folder, "tuf") };

let server: DockerRegistry;
let repositories = 0;

beforeAll(async () => {
  server = await startDockerRegistry(join(folder, "registry"));
  writeImage(plain, "v1", [{ tar: await tar({ "bin/tool": Buffer.from("tool") }), compression: "gzip" }]);
}, 60_000);
afterAll(async () => await server?.stop());

describeWith([ours, cosign3], "a keyless signature of the tests' own authority", {}, () => {
  test("counts here and with cosign, and not for another identity", async () => {
    const [store, file] = [new Sigstore(), Buffer.from("released\n")];
    const at = (name: string) => join(folder, `keyless-${name}`);
    writeFileSync(at("file"), file);
    writeFileSync(at("bundle"), JSON.stringify(store.fileBundle(file)));
    writeFileSync(at("root"), JSON.stringify(store.trustedRoot()));
    const args = (identity: string) => [
      ...["verify-blob", "--bundle", at("bundle"), "--trusted-root", at("root")],
      ...["--certificate-identity", identity],
      ...["--certificate-oidc-issuer", "https://issuer.example.test", at("file")],
    ];
    for (const peer of [ours, cosign3]) {
      const { exit } = await run(peer, args("dev@example.test"), { env: peerEnvironment });
      const { exit: other } = await run(peer, args("eve@example.test"), { env: peerEnvironment });
      expect([peer.name, exit, other === 0]).toEqual([peer.name, 0, false]);
    }
  });
});

/** The image under a new name. */
async function pushed(): Promise<string> {
  const name = `${server.host}/app${repositories++}:1.0`;
  await output(skopeo, ["copy", "-q", "--dest-tls-verify=false", `oci:${plain}:v1`, `docker://${name}`]);
  return name;
}

interface KeyFiles {
  readonly privateKey: string;
  readonly publicKey: string;
}

/** PKCS#8 and SPKI, by openssl. */
function pemPair(name: string, pair: { privateKey: string; publicKey: string }): KeyFiles {
  const files = { privateKey: join(folder, `${name}.pem`), publicKey: join(folder, `${name}.pub`) };
  writeFileSync(files.privateKey, pair.privateKey, { mode: 0o600 });
  writeFileSync(files.publicKey, pair.publicKey);
  return files;
}

const ENCODING = {
  publicKeyEncoding: { type: "spki", format: "pem" },
  privateKeyEncoding: { type: "pkcs8", format: "pem" },
} as const;
const PAIRS: readonly (readonly [string, () => KeyFiles])[] = [
  ["P-256", () => pemPair("p256", generateKeyPairSync("ec", { namedCurve: "P-256", ...ENCODING }))],
  ["P-384", () => pemPair("p384", generateKeyPairSync("ec", { namedCurve: "P-384", ...ENCODING }))],
  ["RSA", () => pemPair("rsa", generateKeyPairSync("rsa", { modulusLength: 2048, ...ENCODING }))],
];

const cosignPairs = new Map<Peer, Promise<KeyFiles>>();

/** The one pair that a cosign makes here. */
function cosignKeys(cosign: Peer): Promise<KeyFiles> {
  const pair = cosignPairs.get(cosign) ?? generate(cosign);
  cosignPairs.set(cosign, pair);
  return pair;
}

async function generate(cosign: Peer): Promise<KeyFiles> {
  const where = join(folder, `keys-${cosign.name.at(-1)}`);
  mkdirSync(where, { recursive: true });
  await output(cosign, ["generate-key-pair"], { cwd: where, env: peerEnvironment });
  return { privateKey: join(where, "cosign.key"), publicKey: join(where, "cosign.pub") };
}

const VERIFY = ["verify", "--insecure-ignore-tlog", "--allow-insecure-registry", "--key"];
/** cosign 3 takes its services from a file; this one names none. */
function noServices(): string {
  const path = join(folder, "signing-config.json");
  writeFileSync(path, JSON.stringify({ mediaType: "application/vnd.dev.sigstore.signingconfig.v0.2+json" }));
  return path;
}

/** Attests an SPDX document. */
async function attest(cosign: Peer, args: readonly string[]): Promise<void> {
  const always = ["--yes", "--allow-insecure-registry", "--type", "spdxjson"];
  await output(cosign, ["attest", ...always, ...args], { env: peerEnvironment });
}

/** Debian 12's skopeo is built without sigstore's signatures. */
async function skopeoAccepts(name: string, requirement: object): Promise<boolean> {
  const at = (file: string) => join(folder, `${file}-${repositories++}`);
  const [policy, registries, copy] = [at("policy"), at("registries.d"), at("copy")];
  writeFileSync(
    policy,
    JSON.stringify({ default: [{ type: "reject" }], transports: { docker: { "": [requirement] } } }),
  );
  mkdirSync(registries);
  writeFileSync(join(registries, "default.yaml"), "default-docker:\n  use-sigstore-attachments: true\n");
  const args = ["--policy", policy, "--registries.d", registries, "copy", "-q", "--src-tls-verify=false"];
  const { exit } = await run(skopeoNew, [...args, `docker://${name}`, `dir:${copy}`], {
    env: peerEnvironment,
  });
  return exit === 0;
}

describeWith(
  [ours, registry, skopeo, skopeoNew, cosign2, cosign3, openssl],
  "signatures made here",
  {},
  () => {
    test.each(PAIRS)(
      "by a %s key: both cosigns and skopeo accept them, and refuse another key",
      async (_kind, make) => {
        const [name, key] = [await pushed(), make()];
        await succeed(["sign", "--key", key.privateKey, `docker://${name}`]);
        const { publicKey: other } = pemPair(
          "other",
          generateKeyPairSync("ec", { namedCurve: "P-256", ...ENCODING }),
        );
        for (const [cosign, format] of [
          [cosign2, []],
          [cosign3, []],
          [cosign3, ["--new-bundle-format=false"]],
        ] as const) {
          await output(cosign, [...VERIFY, key.publicKey, ...format, name], { env: peerEnvironment });
          const refused = await run(cosign, [...VERIFY, other, ...format, name], { env: peerEnvironment });
          expect(refused.exit).not.toBe(0);
        }
        for (const signedIdentity of [
          { type: "matchExact" },
          { type: "matchRepoDigestOrExact" },
          { type: "matchRepository" },
          { type: "exactReference", dockerReference: name },
        ]) {
          const requirement = { type: "sigstoreSigned", keyPath: key.publicKey, signedIdentity };
          expect(await skopeoAccepts(name, requirement)).toBe(true);
        }
        expect(await skopeoAccepts(name, { type: "sigstoreSigned", keyPath: other })).toBe(false);
        await succeed(["trust", "check", "--key", key.publicKey, name]);
        expect((await command(["trust", "check", "--key", other, name])).stderr).toMatch(ONE_ERROR);
      },
    );

    test("annotations are signed, in both forms", async () => {
      const [name, [, make]] = [await pushed(), PAIRS[0] ?? ["", () => ({ privateKey: "", publicKey: "" })]];
      const key = make();
      await succeed(["sign", "--key", key.privateKey, "-a", "env=prod", `docker://${name}`]);
      for (const cosign of [cosign2, cosign3]) {
        await output(cosign, [...VERIFY, key.publicKey, "-a", "env=prod", name], { env: peerEnvironment });
        const refused = await run(cosign, [...VERIFY, key.publicKey, "-a", "env=test", name], {
          env: peerEnvironment,
        });
        expect(refused.exit).not.toBe(0);
      }
    });

    test("the same signature is not added twice, another key's is", async () => {
      const [name, key] = [await pushed(), PAIRS[0]?.[1]() ?? { privateKey: "", publicKey: "" }];
      const sign = async (pair: KeyFiles) =>
        JSON.parse(await succeed(["sign", "--json", "--key", pair.privateKey, name])).signed[0].added;
      expect(await sign(key)).toEqual(["simple", "bundle"]);
      expect(await sign(key)).toEqual([]);
      const other = pemPair("second", generateKeyPairSync("ec", { namedCurve: "P-256", ...ENCODING }));
      expect(await sign(other)).toEqual(["simple", "bundle"]);
      for (const { publicKey } of [key, other]) {
        for (const cosign of [cosign2, cosign3])
          await output(cosign, [...VERIFY, publicKey, name], { env: peerEnvironment });
      }
    });

    test("with an encrypted key of each cosign's, and cosign with ours", async () => {
      const name = await pushed();
      for (const cosign of [cosign2, cosign3]) {
        const key = await cosignKeys(cosign);
        await succeed(["sign", "--key", key.privateKey, name], { env: PASSWORD });
        await output(cosign, [...VERIFY, key.publicKey, name], { env: peerEnvironment });
        const wrong = await command(["sign", "--key", key.privateKey, name], {
          env: { COSIGN_PASSWORD: "wrong" },
        });
        expect(wrong.stderr).toMatch(/its password is wrong, or it is damaged/);
        expect((await command(["sign", "--key", key.privateKey, name])).stderr).toMatch(/needs a password/);
      }
      const own = join(folder, "own.key");
      await succeed(["keygen", "--for", "signing", own], { env: PASSWORD });
      await output(
        cosign2,
        ["sign", "--yes", "--tlog-upload=false", "--allow-insecure-registry", "--key", own, name],
        {
          env: peerEnvironment,
        },
      );
      await succeed(["trust", "check", "--key", `${own}.pub`, name]);
    });

    test("encrypt --sign-by signs what it has written", async () => {
      const key = PAIRS[0]?.[1]() ?? { privateKey: "", publicKey: "" };
      const name = `${server.host}/encrypted:1.0`;
      const recipient = join(folder, "node.pem");
      await succeed(["keygen", recipient]);
      const encrypted = await succeed([
        "encrypt",
        "--json",
        "--recipient",
        `jwe:${recipient}.pub`,
        "--sign-by",
        key.privateKey,
        `oci:${plain}:v1`,
        `docker://${name}`,
      ]);
      const { digest } = JSON.parse(encrypted);
      expect((await succeed(["trust", "check", "-q", "--key", key.publicKey, name])).trim()).toBe(digest);
      for (const cosign of [cosign2, cosign3])
        await output(cosign, [...VERIFY, key.publicKey, name], { env: peerEnvironment });
      const archive = await command([
        "encrypt",
        "--recipient",
        `jwe:${recipient}.pub`,
        "--sign-by",
        key.privateKey,
        `oci:${plain}:v1`,
        `oci-archive:${join(folder, "a.tar")}`,
      ]);
      expect(archive.stderr).toMatch(/can't hold signatures/);
    });

    test("by digest: for pulls by tag only if the name also has the tag", async () => {
      const key = PAIRS[0]?.[1]() ?? { privateKey: "", publicKey: "" };
      const requirement = { type: "sigstoreSigned", keyPath: key.publicKey };
      const policy = join(folder, "by-digest.json");
      writeFileSync(policy, JSON.stringify({ default: [requirement] }));
      for (const hasTag of [false, true]) {
        const name = await pushed();
        const repository = name.replace(/:1\.0$/, "");
        const [digest = ""] = (await succeed(["inspect", `docker://${name}`])).split("\n");
        const signed = `${hasTag ? name : repository}@${digest}`;
        const { exit, stderr } = await command(["sign", "--key", key.privateKey, signed]);
        expect(exit, stderr).toBe(0);
        expect(stderr.includes("only for pulls by digest")).toBe(!hasTag);
        for (const [pulled, isAccepted] of [
          [`${repository}@${digest}`, true],
          [name, hasTag],
        ] as const) {
          expect((await command(["trust", "check", "--policy", policy, pulled])).exit === 0).toBe(isAccepted);
          expect(await skopeoAccepts(pulled, requirement)).toBe(isAccepted);
        }
      }
    });

    test("in a layout, for the name that nodes will pull", async () => {
      const layout = join(folder, "layout");
      const key = PAIRS[0]?.[1]() ?? { privateKey: "", publicKey: "" };
      await output(skopeo, ["copy", "-q", `oci:${plain}:v1`, `oci:${layout}:v1`]);
      expect((await command(["sign", "--key", key.privateKey, `oci:${layout}:v1`])).stderr).toMatch(
        /--sign-container-identity/,
      );
      const args = ["--sign-container-identity", "registry.example.test/app:1.0", `oci:${layout}:v1`];
      await succeed(["sign", "--key", key.privateKey, ...args]);
      const report = JSON.parse(
        await succeed(["trust", "check", "--json", "--key", key.publicKey, `oci:${layout}:v1`]),
      );
      const names = report.signatures.map(
        ({ verdict }: { verdict: { signedName: string } }) => verdict.signedName,
      );
      expect(names).toEqual(["registry.example.test/app:1.0", "registry.example.test/app:1.0"]);
      expect(
        JSON.parse(await succeed(["sign", "--json", "--key", key.privateKey, ...args])).signed[0].added,
      ).toEqual([]);
    });
  },
);

describeWith([ours, registry, skopeo, skopeoNew, cosign2, cosign3], "signatures made by others", {}, () => {
  const SIGN = ["sign", "--yes", "--allow-insecure-registry"];
  test.each<[string, Peer, () => readonly string[]]>([
    ["cosign 2", cosign2, () => ["--tlog-upload=false"]],
    ["cosign 3, as a bundle", cosign3, () => ["--signing-config", noServices()]],
    [
      "cosign 3, in the older form",
      cosign3,
      () => ["--new-bundle-format=false", "--use-signing-config=false", "--tlog-upload=false"],
    ],
  ])("%s", async (_what, cosign, args) => {
    const [name, key] = [await pushed(), await cosignKeys(cosign)];
    const other = await cosignKeys(cosign === cosign2 ? cosign3 : cosign2);
    await output(cosign, [...SIGN, ...args(), "-a", "env=prod", "--key", key.privateKey, name], {
      env: peerEnvironment,
    });
    await succeed(["trust", "check", "-a", "env=prod", "--key", key.publicKey, name]);
    for (const wrong of [
      ["-a", "env=test", "--key", key.publicKey],
      ["--key", other.publicKey],
    ]) {
      const refused = await command(["trust", "check", "-q", ...wrong, name]);
      expect(refused.exit).toBe(1);
      expect(refused.stderr).toMatch(/is not trusted/);
    }
  });

  test.each([
    ["cosign 2", cosign2, () => ["--tlog-upload=false"]],
    ["cosign 3", cosign3, () => ["--signing-config", noServices()]],
  ] as const)("an attestation by %s is read, and is not a signature", async (_what, cosign, args) => {
    const [name, key] = [await pushed(), await cosignKeys(cosign)];
    const sbom = join(folder, "sbom.json");
    writeFileSync(sbom, JSON.stringify({ spdxVersion: "SPDX-2.3", large: 12345678901234567000n.toString() }));
    await attest(cosign, [...args(), "--predicate", sbom, "--key", key.privateKey, name]);
    const predicate = await succeed(["trust", "attest", "--type", "spdx", "--key", key.publicKey, name]);
    expect(JSON.parse(predicate)).toMatchObject({ spdxVersion: "SPDX-2.3" });
    expect((await command(["trust", "check", "--key", key.publicKey, name])).exit).toBe(1);
    expect(
      (await command(["trust", "attest", "--type", "cyclonedx", "--key", key.publicKey, name])).exit,
    ).toBe(1);
  });

  // The largest that fit into an attestation of 16 MiB, which holds them as base64.
  test.each([
    ["cosign 2", cosign2, () => ["--tlog-upload=false"], ".att.json"],
    ["cosign 3", cosign3, () => ["--signing-config", noServices()], ".sigstore.json"],
  ] as const)(
    "an SBOM of 12 MB by %s: read, copied, and no hindrance",
    async (_what, cosign, args, ending) => {
      const [name, key] = [await pushed(), await cosignKeys(cosign)];
      const [sbom, store] = [join(folder, "large.json"), join(folder, `store-${cosign.name}`)];
      writeFileSync(sbom, JSON.stringify({ spdxVersion: "SPDX-2.3", large: "x".repeat(12_500_000) }));
      await attest(cosign, [...args(), "--predicate", sbom, "--key", key.privateKey, name]);
      const demand = ["--type", "spdx", "--key", key.publicKey];
      expect(JSON.parse(await succeed(["trust", "attest", ...demand, name]))).toMatchObject({
        spdxVersion: "SPDX-2.3",
      });
      expect(await succeed(["trust", "fetch", name, store])).toMatch(ending);
      // The layout has the same image, without an attestation.
      const fetched = ["--signature-store", store, `oci:${plain}:v1`];
      expect(await succeed(["trust", "attest", ...demand, ...fetched])).toMatch("SPDX-2.3");

      const signer = PAIRS[0]?.[1]() ?? { privateKey: "", publicKey: "" };
      const check = ["trust", "check", "--key", signer.publicKey, name];
      expect((await command(check)).stderr).toMatch(/no signature found/);
      await succeed(["sign", "--key", signer.privateKey, name]);
      const accepted = await succeed(check);
      expect(
        /ignored {2}referrer \S+: it has \d+ bytes, and a signature may have at most 1048576/.test(accepted),
      ).toBe(cosign === cosign3);
    },
  );

  test("skopeo's, with its full reference", async () => {
    const [name, key] = [`${server.host}/by-skopeo:1.0`, await cosignKeys(cosign2)];
    const passphrase = join(folder, "passphrase");
    writeFileSync(passphrase, PASSWORD.COSIGN_PASSWORD);
    const registries = join(folder, "skopeo-registries");
    mkdirSync(registries);
    writeFileSync(join(registries, "default.yaml"), "default-docker:\n  use-sigstore-attachments: true\n");
    await output(skopeoNew, [
      "--registries.d",
      registries,
      ...["copy", "-q", "--dest-tls-verify=false", "--sign-by-sigstore-private-key", key.privateKey],
      ...["--sign-passphrase-file", passphrase, `oci:${plain}:v1`, `docker://${name}`],
    ]);
    const report = JSON.parse(await succeed(["trust", "check", "--json", "--key", key.publicKey, name]));
    expect(report.signatures[0].verdict).toMatchObject({ counts: true, signedName: name });
  });

  test.each([
    ["cosign 2", cosign2, () => ["--tlog-upload=false"]],
    ["cosign 3", cosign3, () => ["--signing-config", noServices()]],
  ] as const)("a file's, by %s", async (_what, cosign, args) => {
    const key = await cosignKeys(cosign);
    const [file, bundle] = [join(folder, "file"), join(folder, `bundle-${cosign.name.at(-1)}`)];
    writeFileSync(file, "content");
    await output(
      cosign,
      ["sign-blob", "--yes", ...args(), "--bundle", bundle, "--key", key.privateKey, file],
      { env: peerEnvironment },
    );
    const signature = ["--bundle", bundle, "--key", key.publicKey];
    await succeed(["verify-blob", ...signature, file]);
    writeFileSync(file, "Content");
    const changed = await command(["trust", "blob", ...signature, file]);
    expect(changed.exit).toBe(1);
    expect(changed.stderr).toMatch(/does not count/);
  });
});
