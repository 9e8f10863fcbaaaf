import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { certify } from "../support/certificates.ts";
import { command, type KeyPairFiles, ONE_ERROR, rsaKeys, succeed } from "../support/cli.ts";
import { diffIds } from "../support/diff-ids.ts";
import {
  ANN,
  type DockerRegistry,
  startDockerRegistry,
  startTokenServer,
} from "../support/docker-registry.ts";
import { tar, writeImage } from "../support/images.ts";
import { describeWith, openssl, ours, output, registry, skopeo } from "../support/peers.ts";
import { temporaryFolder } from "../support/temporary.ts";

const folder = temporaryFolder();
const plain = join(folder, "plain");
let ann: KeyPairFiles;
let bob: KeyPairFiles;
const stops: (() => Promise<void>)[] = [];

beforeAll(async () => {
  ann = await rsaKeys(join(folder, "keys"), "ann");
  bob = await rsaKeys(join(folder, "keys"), "bob");
  writeImage(plain, "v1", [
    { tar: await tar({ "bin/tool": Buffer.alloc(3_000_000, "tool") }), compression: "none" },
    { tar: await tar({ "etc/conf": Buffer.from("configuration") }), compression: "gzip" },
  ]);
}, 60_000);

afterAll(async () => {
  for (const stop of stops.reverse()) await stop();
});

async function start(name: string, options = {}): Promise<DockerRegistry> {
  const started = await startDockerRegistry(join(folder, name), options);
  stops.push(() => started.stop());
  return started;
}

let copies = 0;
/** The digests of an image's uncompressed layers, by skopeo's reading, decrypted where a key is given. */
async function read(image: string, args: readonly string[], key?: KeyPairFiles): Promise<readonly string[]> {
  const copy = join(folder, `copy-${copies++}`);
  const keys = key === undefined ? [] : ["--decryption-key", key.privateKey];
  await output(skopeo, ["copy", "-q", ...args, ...keys, image, `oci:${copy}:v1`]);
  return diffIds(copy, "v1");
}

describeWith([registry, skopeo, ours], "with a plain docker-registry", {}, () => {
  let host: string;
  const at = (name: string) => `docker://${host}/${name}`;

  beforeAll(async () => {
    ({ host } = await start("plain-registry"));
  });

  test("skopeo decrypts what was encrypted there", async () => {
    await succeed(["encrypt", "--recipient", `jwe:${ann.publicKey}`, `oci:${plain}:v1`, at("ours:v1")]);
    expect(await read(at("ours:v1"), ["--src-tls-verify=false"], ann)).toEqual(diffIds(plain, "v1"));
  });

  test("what skopeo encrypted there is decrypted there", async () => {
    const to = ["--dest-tls-verify=false", "--encryption-key", `jwe:${ann.publicKey}`];
    await output(skopeo, ["copy", "-q", ...to, `oci:${plain}:v1`, at("theirs:v1")]);
    await succeed(["verify", "--key", ann.privateKey, at("theirs:v1")]);
    await succeed(["decrypt", "--key", ann.privateKey, at("theirs:v1"), at("theirs:plain")]);
    expect(await read(at("theirs:plain"), ["--src-tls-verify=false"])).toEqual(diffIds(plain, "v1"));
  });

  test("an image goes from a repository to another, encrypted on its way", async () => {
    await output(skopeo, ["copy", "-q", "--dest-tls-verify=false", `oci:${plain}:v1`, at("base:v1")]);
    const result = JSON.parse(
      await succeed([
        "encrypt",
        "--json",
        "--layer",
        "1",
        "--recipient",
        `jwe:${ann.publicKey}`,
        at("base:v1"),
        at("app:v1"),
      ]),
    );
    expect(result.layers).toMatchObject([{ position: 1, transfer: "copied" }]);
    expect(result.blobs.map(({ transfer }: { transfer: string }) => transfer)).toEqual([
      "mounted",
      "mounted",
    ]);
    expect(await read(at("app:v1"), ["--src-tls-verify=false"], ann)).toEqual(diffIds(plain, "v1"));
  });

  test("recipients change in place, and the layers stay where they are", async () => {
    await succeed([
      "encrypt",
      "-q",
      "--recipient",
      `jwe:${ann.publicKey}`,
      `oci:${plain}:v1`,
      at("place:v1"),
    ]);
    const rewrap = [
      "rewrap",
      "--only",
      "--json",
      "--key",
      ann.privateKey,
      "--recipient",
      `jwe:${bob.publicKey}`,
    ];
    expect(await command([...rewrap, at("place:v1"), at("place:v1")])).toMatchObject({
      exit: 1,
      stderr: expect.stringMatching(/the tag "v1" already exists\n.*--force/),
    });
    const result = JSON.parse(await succeed([...rewrap, "--force", at("place:v1"), at("place:v1")]));
    expect(result.layers).toMatchObject([{ transfer: "none" }, { transfer: "none" }]);
    expect(await read(at("place:v1"), ["--src-tls-verify=false"], bob)).toEqual(diffIds(plain, "v1"));
    expect(await command(["verify", "--key", ann.privateKey, at("place:v1")])).toMatchObject({ exit: 1 });
  });

  test("one layer comes out, and an image is inspected", async () => {
    await succeed(["encrypt", "-q", "--recipient", `jwe:${ann.publicKey}`, `oci:${plain}:v1`, at("one:v1")]);
    const layer = await succeed(["layer", "--index", "1", "--key", ann.privateKey, at("one:v1")]);
    expect(layer.length).toBeGreaterThan(0);
    const info = JSON.parse(await succeed(["inspect", "--json", "--key", ann.privateKey, at("one:v1")]));
    expect(info.platforms[0].layers).toMatchObject([{ encryption: {} }, { encryption: {} }]);
  });

  test("archives, folders and standard streams mix with it", async () => {
    const archive = join(folder, "app.tar");
    await succeed(["encrypt", "-q", "--recipient", `jwe:${ann.publicKey}`, `oci:${plain}:v1`, at("mix:v1")]);
    await succeed(["decrypt", "-q", "--key", ann.privateKey, at("mix:v1"), `oci-archive:${archive}:v1`]);
    await succeed([
      "encrypt",
      "-q",
      "--recipient",
      `jwe:${bob.publicKey}`,
      `oci-archive:${archive}:v1`,
      at("mix:v2"),
    ]);
    expect(await read(at("mix:v2"), ["--src-tls-verify=false"], bob)).toEqual(diffIds(plain, "v1"));
  });

  test("a digest is read, and can't be written", async () => {
    await succeed([
      "encrypt",
      "-q",
      "--recipient",
      `jwe:${ann.publicKey}`,
      `oci:${plain}:v1`,
      at("digest:v1"),
    ]);
    const { digest } = JSON.parse(await succeed(["inspect", "--json", at("digest:v1")]));
    await succeed(["verify", "-q", "--key", ann.privateKey, `${at("digest")}@${digest}`]);
    const decrypt = ["decrypt", "--key", ann.privateKey, at("digest:v1"), `${at("digest:v2")}@${digest}`];
    expect(await command(decrypt)).toMatchObject({
      exit: 2,
      stderr: expect.stringMatching(/can't be a destination/),
    });
  });

  test("a missing tag comes with those of images that there are", async () => {
    for (const tag of ["v1", `sha256-${"0".repeat(64)}.sig`]) {
      const args = ["--recipient", `jwe:${ann.publicKey}`, `oci:${plain}:v1`, at(`tags:${tag}`)];
      await succeed(["encrypt", "-q", ...args]);
    }
    const { exit, stderr } = await command(["inspect", at("tags:v9")]);
    expect(exit).toBe(1);
    expect(stderr).toBe(`ctd-decoder: error: ${host}/tags has no tag v9\nctd-decoder: hint: it has: v1\n`);
  });

  test("a forged layer never becomes a blob", async () => {
    await succeed([
      "encrypt",
      "-q",
      "--recipient",
      `jwe:${ann.publicKey}`,
      `oci:${plain}:v1`,
      at("forged:v1"),
    ]);
    await succeed([
      "encrypt",
      "-q",
      "--recipient",
      `jwe:${bob.publicKey}`,
      `oci:${plain}:v1`,
      at("forged:v2"),
    ]);
    // Ann's keys with Bob's ciphertext: it opens, and is not authentic.
    const forged = join(folder, "forged");
    await output(skopeo, ["copy", "-q", "--src-tls-verify=false", at("forged:v1"), `oci:${forged}:v1`]);
    await output(skopeo, ["copy", "-q", "--src-tls-verify=false", at("forged:v2"), `oci:${forged}:v2`]);
    const { forge } = await import("../support/forged.ts");
    forge(forged);
    await output(skopeo, ["copy", "-q", "--dest-tls-verify=false", `oci:${forged}:v3`, at("forged:v3")]);
    const { exit, stderr } = await command([
      "decrypt",
      "--key",
      ann.privateKey,
      at("forged:v3"),
      at("forged-plain:v1"),
    ]);
    expect(exit).toBe(1);
    expect(stderr).toMatch(ONE_ERROR);
    expect(stderr).toMatch(/HMAC/);
    expect(await command(["inspect", at("forged-plain:v1")])).toMatchObject({ exit: 1 });
  });
});

describeWith([registry, skopeo, ours], "with a docker-registry that asks for a password", {}, () => {
  let host: string;

  beforeAll(async () => {
    ({ host } = await start("basic-registry", { htpasswd: ANN.htpasswd }));
    await output(skopeo, [
      "copy",
      "-q",
      "--dest-tls-verify=false",
      "--dest-creds",
      ANN.creds,
      `oci:${plain}:v1`,
      `docker://${host}/base:v1`,
    ]);
  });

  const encrypt = () => ["encrypt", "-q", "--recipient", `jwe:${ann.publicKey}`, `docker://${host}/base:v1`];

  test.each([
    ["--creds", (to: string) => ["--creds", ANN.creds, to]],
    [
      "--src-creds and --dest-creds",
      (to: string) => ["--src-creds", ANN.creds, "--dest-creds", ANN.creds, to],
    ],
  ])("%s are used", async (_title, args) => {
    await succeed([...encrypt(), ...args(`docker://${host}/app-${copies++}:v1`)]);
  });

  test("the files that skopeo login and docker login write are used", async () => {
    const file = join(folder, "login.json");
    await output(skopeo, [
      "login",
      "--tls-verify=false",
      "--authfile",
      file,
      "-u",
      "ann",
      "-p",
      "secret",
      host,
    ]);
    const to = `docker://${host}/file:v1`;
    await succeed([...encrypt(), "--authfile", file, to]);
    await succeed([...encrypt(), "--force", to], { env: { REGISTRY_AUTH_FILE: file } });
    const docker = join(folder, "docker");
    mkdirSync(docker);
    writeFileSync(
      join(docker, "config.json"),
      JSON.stringify({ auths: { [host]: { auth: Buffer.from(ANN.creds).toString("base64") } } }),
    );
    await succeed([...encrypt(), "--force", to], { env: { DOCKER_CONFIG: docker, HOME: folder } });
  });

  test("without any, the places that were looked at are named", async () => {
    const { exit, stderr } = await command(["inspect", `docker://${host}/base:v1`], {
      env: { HOME: folder },
    });
    expect(exit).toBe(1);
    expect(stderr).toMatch(ONE_ERROR);
    expect(stderr).toMatch(new RegExp(`error: no credentials for ${host}/base\n`));
    expect(stderr).toContain(
      `${folder}/.docker/config.json; log in with docker login or skopeo login, or name --authfile`,
    );
  });

  test("wrong ones are named with where they come from, and not shown", async () => {
    const { exit, stderr } = await command(["inspect", "--creds", "bob:hush", `docker://${host}/base:v1`]);
    expect(exit).toBe(1);
    expect(stderr).toMatch(new RegExp(`error: ${host} refused the credentials of bob from --creds\n`));
    expect(stderr).not.toContain("hush");
  });
});

describeWith([registry, openssl, ours], "with a docker-registry that speaks TLS", {}, () => {
  let host: string;
  const certs = join(folder, "certs");

  beforeAll(async () => {
    const certified = await certify(join(folder, "tls"));
    ({ host } = await start("tls-registry", { tls: certified }));
    mkdirSync(certs);
    writeFileSync(join(certs, "ca.crt"), certified.authority);
  });

  const encrypt = () => [
    "encrypt",
    "-q",
    "--force",
    "--recipient",
    `jwe:${ann.publicKey}`,
    `oci:${plain}:v1`,
  ];

  test("its authority's certificate is found in each of its places", async () => {
    const to = `docker://${host}/app:v1`;
    await succeed([...encrypt(), "--cert-dir", certs, to]);
    await succeed([...encrypt(), "--dest-cert-dir", certs, to]);
    await succeed([...encrypt(), to], { env: { SSL_CERT_FILE: join(certs, "ca.crt") } });
    const own = join(folder, ".config/containers/certs.d", host);
    mkdirSync(own, { recursive: true });
    writeFileSync(
      join(own, "ca.crt"),
      await import("node:fs").then((fs) => fs.readFileSync(join(certs, "ca.crt"))),
    );
    await succeed([...encrypt(), to], { env: { HOME: folder } });
  });

  test("any certificate will do with --tls-verify=false", async () => {
    await succeed([...encrypt(), "--tls-verify=false", `docker://${host}/any:v1`]);
    await succeed([...encrypt(), "--dest-tls-verify=false", `docker://${host}/any:v1`]);
  });

  test.each([
    ["read", () => ["inspect"]],
    ["push", () => encrypt()],
  ])("--plain-http fails with a hint: %s", async (_what, args) => {
    const { exit, stderr } = await command([...args(), "--plain-http", `docker://${host}/app:v1`]);
    expect(exit).toBe(1);
    expect(stderr).toMatch(/ with 400\nctd-decoder: hint: if it speaks TLS, leave out --plain-http\n$/);
  });

  test("an unknown authority is named", async () => {
    const { exit, stderr } = await command([...encrypt(), `docker://${host}/app:v1`]);
    expect(exit).toBe(1);
    expect(stderr).toBe(
      `ctd-decoder: error: ${host}'s certificate is signed by an authority unknown here: Test authority\n` +
        `ctd-decoder: hint: put its certificate as ca.crt in ~/.config/containers/certs.d/${host} or name --cert-dir\n`,
    );
  });
});

describeWith([registry, openssl, ours], "with a docker-registry that wants tokens", {}, () => {
  test("they are asked for with the scopes of both repositories", async () => {
    const certified = await certify(join(folder, "token"));
    const realm = await startTokenServer(certified, ANN.creds);
    stops.push(() => realm.stop());
    const { host } = await start("token-registry", {
      token: { realm: realm.url, authority: certified.authority },
    });
    const [one, two] = [`docker://${host}/one:v1`, `docker://${host}/two:v1`];
    await succeed([
      "encrypt",
      "-q",
      "--creds",
      ANN.creds,
      "--recipient",
      `jwe:${ann.publicKey}`,
      `oci:${plain}:v1`,
      one,
    ]);
    const rewrap = [
      "rewrap",
      "--only",
      "--json",
      "--creds",
      ANN.creds,
      "--key",
      ann.privateKey,
      "--recipient",
      `jwe:${bob.publicKey}`,
    ];
    const result = JSON.parse(await succeed([...rewrap, one, two]));
    expect(result.layers).toMatchObject([{ transfer: "mounted" }, { transfer: "mounted" }]);
    expect(
      realm.asked.some((url) =>
        /scope=repository%3Atwo%3Apull%2Cpush&scope=repository%3Aone%3Apull/.test(url),
      ),
    ).toBe(true);
    await succeed(["verify", "-q", "--creds", ANN.creds, "--key", bob.privateKey, two]);
    const refused = await command(["inspect", one], { env: { HOME: folder } });
    expect(refused.stderr).toMatch(new RegExp(`no credentials for ${host}/one`));
  });
});

describe("nothing of the network", () => {
  test("is tried for a name that is wrong", async () => {
    for (const name of ["docker://Reg.example/App", "docker://http://reg.example/app", "docker:app"]) {
      const { exit, stderr } = await command(["inspect", name]);
      expect(exit).toBe(2);
      expect(stderr).toMatch(ONE_ERROR);
    }
  });
});
