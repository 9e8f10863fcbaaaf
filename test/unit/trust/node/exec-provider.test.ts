import { chmodSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { askExecProviders, readExecProviders } from "../../../../src/trust/node/exec-provider.ts";
import { FakeTimers } from "../../../support/fake-timers.ts";
import { temporaryFolder } from "../../../support/temporary.ts";

const folder = temporaryFolder();
const CONFIG = join(folder, "config.yaml");
const IMAGE = "123.dkr.example.test/shop/app";

/** A provider as a shell script: `$request` is what it was asked. */
function provide(script: string, change = ""): void {
  const path = join(folder, "cloud-provider");
  writeFileSync(path, `#!/bin/sh\nrequest=$(cat)\nprintf %s "$request" >${folder}/request\n${script}\n`);
  chmodSync(path, 0o755);
  writeFileSync(
    CONFIG,
    `kind: CredentialProviderConfig
apiVersion: kubelet.config.k8s.io/v1
providers:
  - name: cloud-provider
    matchImages: ["*.dkr.example.test", "mirror.example.test"]
    defaultCacheDuration: 12h
    apiVersion: credentialprovider.kubelet.k8s.io/v1
    args: ["get", "it"]
    env: [{ name: REGION, value: north }]
${change}`,
  );
}

async function ask(image = IMAGE) {
  const providers = await readExecProviders(CONFIG, folder);
  const { signal } = new AbortController();
  return await askExecProviders(providers, image, { environment: { PATH: process.env["PATH"] }, signal });
}

const answer = (auth: object) =>
  `echo '${JSON.stringify({ kind: "CredentialProviderResponse", apiVersion: "credentialprovider.kubelet.k8s.io/v1", cacheKeyType: "Registry", auth })}'`;
const PAIR = { username: "AWS", password: "s3cret" };

describe("kubelet's credential providers", () => {
  test("are asked as the kubelet asks, with their args and environment", async () => {
    provide(`printf '%s ' "$@" "$REGION" >${folder}/call\n${answer({ "*.dkr.example.test": PAIR })}`);
    const found = await ask();
    expect(found?.username).toBe("AWS");
    expect(Buffer.from(found?.password?.bytes ?? []).toString()).toBe("s3cret");
    expect(readFileSync(join(folder, "call"), "utf8")).toBe("get it north ");
    expect(JSON.parse(readFileSync(join(folder, "request"), "utf8"))).toEqual({
      apiVersion: "credentialprovider.kubelet.k8s.io/v1",
      kind: "CredentialProviderRequest",
      image: IMAGE,
    });
  });

  test("the most specific of their answers counts, and only for its images", async () => {
    const narrow = { username: "narrow", password: "n" };
    provide(answer({ "*.dkr.example.test": PAIR, "*.dkr.example.test/shop": narrow }));
    expect((await ask())?.username).toBe("narrow");
    provide(answer({ "*.dkr.example.test/shop": narrow, "*.dkr.example.test": PAIR }));
    expect((await ask())?.username).toBe("narrow");
    provide(answer({ "other.example.test": PAIR }));
    expect(await ask()).toBeUndefined();
    provide("echo '{}'");
    expect(await ask()).toBeUndefined();
  });

  test.each([
    ["mid*m*id.example.test", "midmid.example.test", true],
    ["mid*m*id.example.test", "mid-m-id.example.test", true],
    ["mid*m*id.example.test", "midid.example.test", false],
    ["a*b*b.example.test", "ab.example.test", false],
    ["ab*b.example.test", "ab.example.test", false],
    ["*.a*.example.test", "x.y.example.test", false],
    ["one.example.test/app", "one.example.test", true],
    ["one.example.test/app", "tne.example.test", false],
  ])("an answer for %s is one for %s: %s", async (pattern, registry, isMatch) => {
    provide(answer({ [pattern]: PAIR }));
    writeFileSync(CONFIG, readFileSync(CONFIG, "utf8").replace("*.dkr.example.test", "*.example.test"));
    expect((await ask(`${registry}/app`)) !== undefined).toBe(isMatch);
  });

  test("the next one is asked if one has no credentials for the image", async () => {
    const second = join(folder, "second-provider");
    writeFileSync(second, `#!/bin/sh\n${answer({ "*.dkr.example.test": PAIR })}\n`, { mode: 0o755 });
    provide(
      answer({}),
      `  - { name: second-provider, matchImages: ["*.dkr.example.test"], apiVersion: credentialprovider.kubelet.k8s.io/v1 }`,
    );
    expect(await ask()).toMatchObject({ username: "AWS", origin: "second-provider" });
  });

  test("are not asked for another registry's images", async () => {
    provide("exit 1");
    expect(await ask("quay.example.test/app")).toBeUndefined();
  });

  test("may write 64 KiB, and no more", async () => {
    const write = (size: number) => {
      const text = JSON.stringify({ auth: { "*.dkr.example.test": PAIR } });
      provide(`printf '%-${size}s' '${text}'`);
    };
    write(65_536);
    expect((await ask())?.username).toBe("AWS");
    write(65_537);
    await expect(ask()).rejects.toThrow("overflow");
  });

  test("may take half a minute", async () => {
    provide("exec sleep 1000");
    const timers = new FakeTimers();
    const asked = ask();
    await timers.started(1);
    expect(await timers.endOf(asked, 30_000)).toEqual({
      status: "rejected",
      reason: expect.objectContaining({ message: expect.stringContaining("deadline") }),
    });
  });

  test.each([
    ["a failure", "exit 3", /ended with exit code 3/],
    ["no JSON", "echo s3cret", /its answer is malformed/],
    ["a list", "echo '[]'", /its answer is malformed/],
    ["a list of credentials", `echo '{"auth":[]}'`, /its answer is malformed/],
    ["a text in place of a pair", answer({ "*.dkr.example.test": "s3cret" }), /its answer is malformed/],
    ["no username", answer({ "*.dkr.example.test": { password: "s3cret" } }), /its answer is malformed/],
    ["the end by a signal", "kill -9 $$", /: signal$/],
    ["no password", answer({ "*.dkr.example.test": { username: "s3cret" } }), /its answer is malformed/],
  ])("%s is an error that quotes nothing", async (_what, script, message) => {
    provide(script);
    const error = await ask().catch((it) => it);
    expect(error).toMatchObject({ code: "UNAUTHORIZED", message: expect.stringMatching(message) });
    expect(JSON.stringify(error)).not.toContain("s3cret");
  });

  describe("are refused with a configuration", () => {
    const API = "credentialprovider.kubelet.k8s.io/v1";
    const RIGHT = { name: "x", matchImages: ["a.test"], apiVersion: API };

    test.each<[unknown, string]>([
      [1, "a provider is not a mapping"],
      [{ ...RIGHT, name: undefined }, "a provider has no name"],
      [{ ...RIGHT, name: "../../bin/sh" }, "a provider has no name"],
      [{ ...RIGHT, name: "x/" }, "a provider has no name"],
      [{ ...RIGHT, apiVersion: 1 }, "the apiVersion of x is not supported"],
      [{ ...RIGHT, apiVersion: `${API}beta2` }, "the apiVersion of x is not supported"],
      [{ ...RIGHT, apiVersion: `x${API}` }, "the apiVersion of x is not supported"],
      [{ ...RIGHT, matchImages: "a.test" }, "x is malformed"],
      [{ ...RIGHT, matchImages: ["a.test", {}] }, "x is malformed"],
      [{ ...RIGHT, args: "get" }, "x is malformed"],
      [{ ...RIGHT, env: { REGION: "north" } }, "env is not a list"],
      [{ ...RIGHT, env: [1] }, "env is malformed"],
      [{ ...RIGHT, env: [{ name: "REGION" }] }, "env is malformed"],
      [{ ...RIGHT, env: [{ value: "north" }] }, "env is malformed"],
    ])("of a provider %j: %s", async (provider, problem) => {
      writeFileSync(CONFIG, JSON.stringify({ providers: [RIGHT, provider] }));
      await expect(ask()).rejects.toMatchObject({
        code: "CONFIG",
        message: `can't use ${CONFIG}: ${problem}`,
      });
    });

    test.each([
      ["{}", /it has no list of providers$/],
      ["[]", /it has no list of providers$/],
      ["providers: {}", /it has no list of providers$/],
      ["providers: [", /it is /],
    ])("%j", async (text, problem) => {
      writeFileSync(CONFIG, text);
      await expect(ask()).rejects.toMatchObject({ code: "CONFIG", message: expect.stringMatching(problem) });
    });

    test("that is missing", async () => {
      rmSync(CONFIG);
      await expect(ask()).rejects.toMatchObject({
        code: "CONFIG",
        message: expect.stringMatching(/no such file/),
      });
    });
  });

  test.each(["v1", "v1beta1", "v1alpha1"])(
    "may have the interface %s, and neither args nor env",
    async (version) => {
      provide(answer({ "*.dkr.example.test": PAIR }));
      const provider = {
        ...{ name: "cloud-provider", matchImages: ["*.dkr.example.test"] },
        apiVersion: `credentialprovider.kubelet.k8s.io/${version}`,
      };
      writeFileSync(CONFIG, JSON.stringify({ providers: [provider] }));
      expect((await ask())?.username).toBe("AWS");
    },
  );
});
