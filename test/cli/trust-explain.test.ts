import { copyFileSync, cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { command, succeed } from "../support/cli.ts";
import { tar, writeImage } from "../support/images.ts";
import { describeWith, ours, root, run } from "../support/peers.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { newSigner, writeSettings } from "../support/trust.ts";

/** A policy can be read where its keys are not. */
describeWith([ours], "trust explain", {}, () => {
  const policy = join(temporaryFolder(), "policy.json");
  const signed = { type: "sigstoreSigned", keyPath: "/nowhere/a.pub" };
  const gpg = { type: "signedBy", keyType: "GPGKeys", keyPath: "/nowhere/b.gpg" };
  writeFileSync(
    policy,
    JSON.stringify({
      default: [{ type: "reject" }],
      transports: {
        docker: {
          "registry.test/shop": [signed, gpg],
          "registry.test/open": [{ type: "insecureAcceptAnything" }],
        },
      },
    }),
  );

  test.each([
    [
      "registry.test/shop/app:1",
      'docker scope "registry.test/shop"',
      [
        "all of",
        "  signed: sigstoreSigned, keyPath /nowhere/a.pub, matchRepoDigestOrExact",
        "  signed: signedBy, keyPath /nowhere/b.gpg, matchRepoDigestOrExact",
      ],
    ],
    ["registry.test/open:1", 'docker scope "registry.test/open"', ["accepted without a signature"]],
    ["nginx", "default", ["rejected"]],
    ["oci:/tmp", "default", ["rejected"]],
  ])("%s: %s", async (name, scope, demands) => {
    const text = await succeed(["trust", "explain", "--json", "--policy", policy, name]);
    expect(JSON.parse(text)).toEqual({ policy, format: "containers-policy.json", scope, demands });
  });
});

describeWith([ours, root], "a trust.toml instead of a policy", {}, () => {
  const folder = temporaryFolder();
  const policy = join(folder, "policy.json");
  const signatures = join(folder, "signatures");
  const [image, identity] = [`oci:${folder}/image:v1`, "registry.example.test/app:1.0"];
  let settings: string;

  beforeAll(async () => {
    const { privateKey, publicKey } = newSigner();
    const key = join(folder, "key.pem");
    writeFileSync(key, privateKey.export({ type: "pkcs8", format: "pem" }), { mode: 0o600 });
    writeFileSync(join(folder, "key.pub"), publicKey);
    const exactly = { type: "exactReference", dockerReference: identity };
    const signed = { type: "sigstoreSigned", keyPath: join(folder, "key.pub"), signedIdentity: exactly };
    writeFileSync(policy, JSON.stringify({ default: [signed] }));
    settings = writeSettings(join(folder, "settings"), { policy, signature_store: signatures });
    writeImage(join(folder, "image"), "v1", [{ tar: await tar({}), compression: "none" }]);
    cpSync(join(folder, "image"), join(folder, "signed"), { recursive: true });
    const signedImage = `oci:${folder}/signed:v1`;
    await succeed(["sign", "--key", key, "--sign-container-identity", identity, signedImage]);
    await succeed(["trust", "fetch", signedImage, signatures]);
  });

  test("trust explain and trust lint read the policy that it names", async () => {
    const explained = await succeed(["trust", "explain", "--policy", settings, "app"]);
    expect(explained.split("\n").slice(0, 2)).toEqual([policy, "containers-policy.json: default"]);
    expect(await succeed(["trust", "lint", settings])).toMatch(/^containers-policy\.json, 1 rule\n/);
  });

  test("trust check also searches its signature store", async () => {
    expect((await command(["trust", "check", "--policy", policy, image])).exit).toBe(1);
    expect(await succeed(["trust", "check", "--policy", settings, image])).toMatch(/^trusted: /m);
  });

  test("trust check reads the user's registries.d for a policy, but not for a node's trust.toml", async () => {
    const [home, file] = [join(folder, "home"), ".config/containers/registries.d/bad.yaml"];
    mkdirSync(join(home, dirname(file)), { recursive: true });
    writeFileSync(join(home, file), "- no mapping");
    const check = (named: string) => {
      const args = ["trust", "check", "--signature-store", signatures, "--policy", named, image];
      return command(args, { env: { HOME: home } });
    };
    expect(await check(policy)).toMatchObject({ exit: 1, stderr: expect.stringContaining(file) });
    expect(await check(settings)).toMatchObject({ exit: 0 });
  });

  test("trust check reads a key beside a policy that is not installed, but not beside a node's own", async () => {
    const place = "/etc/containerd/ctd-decoder/never-installed.pub";
    const early = join(folder, "early.json");
    const [rule] = JSON.parse(readFileSync(policy, "utf8")).default;
    writeFileSync(early, JSON.stringify({ default: [{ ...rule, keyPath: place }] }));
    copyFileSync(join(folder, "key.pub"), join(folder, "never-installed.pub"));
    const check = ["trust", "check", "--signature-store", signatures, "--policy"];
    const { exit, stderr } = await command([...check, "early.json", image], { cwd: folder });
    const beside = join(folder, "never-installed.pub");
    expect({ exit, stderr }).toEqual({
      exit: 0,
      stderr: `ctd-decoder: note: ${place} does not exist yet, and ${beside} was used instead\n`,
    });
    expect(await command([...check, early, "-q", image])).toMatchObject({ exit: 0, stderr: "" });
    const node = writeSettings(join(folder, "early"), { policy: early });
    expect(await command([...check, node, image])).toMatchObject({
      exit: 1,
      stderr: expect.stringMatching(
        /error: can't read \S+never-installed\.pub: no such file.*\n.*hint: the image is refused; put never-installed\.pub beside/,
      ),
    });
  });

  test("trust check and trust explain say what the break-glass file excepts", async () => {
    const breakGlass = join(folder, "break-glass");
    const other = join(folder, "other.json");
    writeFileSync(other, JSON.stringify({ default: [{ type: "reject" }] }));
    const node = writeSettings(join(folder, "excepted"), { policy: other, break_glass: breakGlass });
    const check = () => command(["trust", "check", "--policy", node, image]);
    expect(await check()).toMatchObject({ exit: 1 });
    const until = new Date(Date.now() + 3_600_000).toISOString();
    writeFileSync(breakGlass, `until ${until} scope ${folder} reason the key is lost\n`, { mode: 0o644 });
    const reason = `break-glass until ${until}: the key is lost`;
    const { exit, stdout } = await check();
    expect([exit, stdout.toString()]).toEqual([
      0,
      expect.stringContaining(`trusted: ${reason} (${folder})\n`),
    ]);
    expect(await succeed(["trust", "explain", "--policy", node, image])).toBe(
      `${other}\naccepted in any case: ${reason}\ncontainers-policy.json: default\n  rejected\n`,
    );
  });

  test("a signature store that is named and does not exist is an error", async () => {
    const missing = join(folder, "none");
    expect(
      await command(["trust", "check", "--policy", policy, "--signature-store", missing, image]),
    ).toMatchObject({
      exit: 1,
      stderr: expect.stringContaining(`the folder of signatures ${missing} does not exist`),
    });
  });

  test("trust explain reads that of the node by default", async () => {
    const script =
      'mkdir -p /etc/containerd; mount -t tmpfs tmpfs /etc/containerd; cp -r "$1" /etc/containerd/ctd-decoder; "$0" trust explain app';
    const unshare = { name: "unshare", command: "unshare", args: ["--mount", "sh", "-euc", script] };
    const { stdout, stderr } = await run(unshare, [ours.command, join(folder, "settings")]);
    expect(stderr).toBe("");
    expect(stdout.toString().split("\n")[0]).toBe(policy);
  });
});
