import { createPublicKey } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { keysOf } from "../../../../src/trust/check/trust-files.ts";
import { parseImageName } from "../../../../src/trust/policy/image-name.ts";
import type { ImagePlace } from "../../../../src/trust/policy/policy.ts";
import { loadPolicy, parsePolicy } from "../../../../src/trust/policy/read-policy.ts";
import { leavesOf } from "../../../../src/trust/requirement-tree.ts";
import { temporaryFolder } from "../../../support/temporary.ts";
import { newSigner } from "../../../support/trust.ts";

const folder = temporaryFolder();
const KEY = join(folder, "key.pub");
writeFileSync(KEY, newSigner().publicKey);

const ACCEPT = [{ type: "insecureAcceptAnything" }];
const REJECT = [{ type: "reject" }];
const SETTINGS = { trustedRoot: undefined, unmatched: "reject", scopeIsIdentity: false } as const;

const parse = (text: string, settings = SETTINGS) => parsePolicy(Buffer.from(text), "policy P", settings);
const read = (policy: unknown, settings = SETTINGS) => parse(JSON.stringify(policy), settings);

function docker(text: string): ImagePlace {
  const name = parseImageName(text);
  if (name === undefined) throw new Error(`bug: ${text}`);
  return { transport: "docker", name };
}

describe("the most specific scope decides", () => {
  const scopes = {
    "registry.example.com:5000/shop/app:1": ACCEPT,
    "registry.example.com:5000/shop/app": REJECT,
    "registry.example.com:5000": ACCEPT,
    "*.example.com": REJECT,
    "*.com": ACCEPT,
    "docker.io/library": ACCEPT,
    "": REJECT,
  };
  test.each([
    ["registry.example.com:5000/shop/app:1", 'docker scope "registry.example.com:5000/shop/app:1"'],
    ["registry.example.com:5000/shop/app:2", 'docker scope "registry.example.com:5000/shop/app"'],
    ["registry.example.com:5000/shop/app/deep:2", 'docker scope "registry.example.com:5000/shop/app"'],
    ["registry.example.com:5000/shop/apps:2", 'docker scope "registry.example.com:5000"'],
    ["registry.example.com:5001/shop/app:1", 'docker scope "*.example.com"'],
    ["a.b.example.com/x:1", 'docker scope "*.example.com"'],
    ["example.com/x:1", 'docker scope "*.com"'],
    ["busybox:1", 'docker scope "docker.io/library"'],
    ["localhost/x:1", "every other docker image"],
  ])("%s: %s", async (name, scope) => {
    const policy = await read({ default: ACCEPT, transports: { docker: scopes } });
    expect(policy.requirementFor(docker(name)).scope).toBe(scope);
  });

  test("without a scope of the transport the default decides", async () => {
    const policy = await read({ default: REJECT, transports: { oci: { "/images": ACCEPT } } });
    expect(policy.requirementFor(docker("busybox:1"))).toEqual({
      scope: "default",
      requirement: { kind: "reject" },
    });
    expect(policy.requirementFor({ transport: "oci", path: "/images/a" }).scope).toBe('oci scope "/images"');
    expect(policy.requirementFor({ transport: "oci", path: "/image" }).scope).toBe("default");
  });
});

test("of several keys in a file, the first counts", async () => {
  const [first, second] = [newSigner(), newSigner()];
  const file = join(folder, "several.pub");
  writeFileSync(file, first.publicKey + second.publicKey);
  const data = Buffer.from(first.publicKey + second.publicKey).toString("base64");
  for (const source of [{ keyPath: file }, { keyPaths: [file] }, { keyData: data }, { keyDatas: [data] }]) {
    const rekor = { rekorPublicKeyPath: file };
    const policy = await read({ default: [{ type: "sigstoreSigned", ...source, ...rekor }] });
    const [leaf] = [...leavesOf(policy.requirementFor(docker("busybox:1")).requirement)];
    const files = leaf?.signer.kind === "keys" ? [...leaf.signer.keys, ...leaf.log.keys] : [];
    const spki = createPublicKey(first.publicKey).export({ type: "spki", format: "der" });
    expect(files.map((it) => keysOf(it).map((key) => Buffer.from(key.spki)))).toEqual([[spki], [spki]]);
  }
});

describe("a policy that is wrong anywhere is refused", () => {
  const signed = (more: object) => ({ default: [{ type: "sigstoreSigned", ...more }] });
  test.each<[string, unknown]>([
    ["no default", {}],
    ["unknown field", { default: REJECT, x: 1 }],
    ["no list", { default: REJECT[0] }],
    ["empty list", { default: [] }],
    ["unknown type", { default: [{ type: "x" }] }],
    ["no type", { default: [{}] }],
    ["a field too much", { default: [{ type: "reject", x: 1 }] }],
    ["transports null", { default: REJECT, transports: null }],
    ["scopes null", { default: REJECT, transports: { docker: null } }],
    ["folder scope that is relative", { default: REJECT, transports: { oci: { images: REJECT } } }],
    ["folder scope of everything", { default: REJECT, transports: { oci: { "/": REJECT } } }],
    ["folder scope with a last slash", { default: REJECT, transports: { oci: { "/images/": REJECT } } }],
    ["folder scope that leads up", { default: REJECT, transports: { dir: { "/images/../x": REJECT } } }],
    ["folder scope with two slashes", { default: REJECT, transports: { dir: { "/images//x": REJECT } } }],
    ["scope of an archive", { default: REJECT, transports: { "docker-archive": { "/x": REJECT } } }],
    [
      "scope that is a digest",
      { default: REJECT, transports: { "docker-daemon": { [`sha256:${"0".repeat(64)}`]: REJECT } } },
    ],
    ["no key", signed({})],
    ["two keys", signed({ keyPath: KEY, keyData: "AA==" })],
    ["empty keyPaths", signed({ keyPaths: [] })],
    ["keyData that is not base64", signed({ keyData: "*" })],
    ["keyPath of another type", signed({ keyPath: 5 })],
    ["unknown identity", signed({ keyPath: KEY, signedIdentity: { type: "x" } })],
    ["identity null", signed({ keyPath: KEY, signedIdentity: null })],
    [
      "exactReference without tag",
      signed({ keyPath: KEY, signedIdentity: { type: "exactReference", dockerReference: "a/b" } }),
    ],
    [
      "prefix with a tag",
      signed({
        keyPath: KEY,
        signedIdentity: { type: "remapIdentity", prefix: "a.b/c:1", signedPrefix: "d.e" },
      }),
    ],
    ["fulcio without rekor", signed({ fulcio: { caPath: KEY, oidcIssuer: "i", subjectEmail: "e" } })],
    [
      "fulcio without issuer",
      signed({ rekorPublicKeyPath: KEY, fulcio: { caPath: KEY, subjectEmail: "e" } }),
    ],
    ["pki with rekor", signed({ rekorPublicKeyPath: KEY, pki: { caRootsPath: KEY, subjectEmail: "e" } })],
    ["pki without subject", signed({ pki: { caRootsPath: KEY } })],
    ["signedBy without keyType", { default: [{ type: "signedBy", keyPath: KEY }] }],
    ["signedBy with another keyType", { default: [{ type: "signedBy", keyType: "x", keyPath: KEY }] }],
    [
      "signedBy with a second source that is empty",
      { default: [{ type: "signedBy", keyType: "GPGKeys", keyPath: "", keyData: "AA==" }] },
    ],
  ])("%s", async (_what, policy) => {
    await expect(read(policy)).rejects.toMatchObject({
      code: "CONFIG",
      message: expect.stringMatching(/^policy P/),
    });
  });

  test.each(["", "{", "null", "[]", '{"default":[{"type":"reject"}]} x', '{"default":[{"type":"reject"},]}'])(
    "text %j",
    async (text) => {
      await expect(parse(text)).rejects.toMatchObject({
        code: "CONFIG",
        message: expect.stringMatching(/^policy P/),
      });
    },
  );

  test("a name that is given twice", async () => {
    await expect(parse('{"default":[{"type":"reject","type":"reject"}]}')).rejects.toThrow(/"type" twice/);
  });

  test("containers-policy.json in YAML, which containers/image does not read", async () => {
    await expect(parse("default:\n- type: reject\n")).rejects.toThrow(/format is not known/);
  });
});

describe("what a requirement comes to", () => {
  test("all requirements of a scope must hold", async () => {
    const policy = await read({ default: [{ type: "sigstoreSigned", keyPath: KEY }, { type: "reject" }] });
    const { requirement } = policy.requirementFor(docker("a/b:1"));
    expect(requirement).toMatchObject({ kind: "all-of", of: [{ kind: "signed-by" }, { kind: "reject" }] });
  });

  test("a key file that is missing matters only where it applies", async () => {
    const missing = [{ type: "sigstoreSigned", keyPath: join(folder, "missing") }];
    const policy = await read({ default: REJECT, transports: { docker: { "docker.io": missing } } });
    expect(policy.requirementFor(docker("localhost/x:1")).requirement).toEqual({ kind: "reject" });
    expect(() => policy.requirementFor(docker("busybox:1"))).toThrow(/missing: no such file/);
  });

  test("a bundle without a name is taken only by a scope that is a repository, and only where that is wanted", async () => {
    const rules = [{ type: "sigstoreSigned", keyPath: KEY }];
    const scopes = { "localhost/shop": rules, "localhost/shop/app": rules };
    const accepts = async (scopeIsIdentity: boolean, name: string) => {
      const policy = await read({ default: REJECT, transports: { docker: scopes } }, {
        ...SETTINGS,
        scopeIsIdentity,
      } as never);
      return [...leavesOf(policy.requirementFor(docker(name)).requirement)].map(
        (it) => it.acceptsNamelessBundle,
      );
    };
    expect(await accepts(true, "localhost/shop/app:1")).toEqual([true]);
    expect(await accepts(true, "localhost/shop/other:1")).toEqual([false]);
    expect(await accepts(false, "localhost/shop/app:1")).toEqual([false]);
  });

  test("what containers/image has never implemented rejects", async () => {
    const policy = await read({ default: [{ type: "signedBy", keyType: "X509Certificates", keyPath: KEY }] });
    expect(policy.requirementFor(docker("a/b:1")).requirement).toEqual({ kind: "reject" });
  });
});

test.each<[string, unknown, string]>([
  ["without a default", { transports: {} }, "policy P: default is missing"],
  ["with a default that is empty", { default: [] }, "policy P: default: it is not a list of one or more"],
  ["with transports that are a list", { default: REJECT, transports: [] }, "transports: it is not an object"],
  [
    "with scopes that are a list",
    { default: REJECT, transports: { docker: [] } },
    "transports.docker: it is not an object",
  ],
  [
    "with a rule that is wrong",
    { default: REJECT, transports: { docker: { "a.b": [{ type: "reject" }, { type: "x" }] } } },
    'transports.docker["a.b"][1]: unknown requirement type "x"',
  ],
  [
    "with a scope of an archive",
    { default: REJECT, transports: { tarball: { "/x": REJECT } } },
    'transports.tarball["/x"]: tarball takes no scope but ""',
  ],
  [
    "with a folder that is not absolute",
    { default: REJECT, transports: { "oci-archive": { x: REJECT } } },
    "it is not the absolute path of a folder below /",
  ],
])("a policy %s is refused with its place", async (_what, policy, message) => {
  await expect(read(policy)).rejects.toThrow(message);
});

test("scopes of every transport are read, as wide as they may be", async () => {
  const daemon = { "docker-daemon": { "a/b:1": ACCEPT, "": REJECT } };
  const policy = await read({
    default: REJECT,
    transports: { oci: { "/a": ACCEPT, "/a/b c": REJECT, "": REJECT }, tarball: { "": ACCEPT }, ...daemon },
  });
  const scopeOf = (path: string) => policy.requirementFor({ transport: "oci", path }).scope;
  expect(scopeOf("/a")).toBe('oci scope "/a"');
  expect(scopeOf("/a/x/y")).toBe('oci scope "/a"');
  expect(scopeOf("/a/b c/x")).toBe('oci scope "/a/b c"');
  expect(scopeOf("/ab")).toBe("every other oci image");
  expect(policy.rules).toEqual([
    { scope: 'oci scope "/a"', demands: ["insecureAcceptAnything"], materials: [] },
    { scope: 'oci scope "/a/b c"', demands: ["reject"], materials: [] },
    { scope: "every other oci image", demands: ["reject"], materials: [] },
    { scope: "every other tarball image", demands: ["insecureAcceptAnything"], materials: [] },
    { scope: 'docker-daemon scope "a/b:1"', demands: ["insecureAcceptAnything"], materials: [] },
    { scope: "every other docker-daemon image", demands: ["reject"], materials: [] },
    { scope: "default", demands: ["reject"], materials: [] },
  ]);
});

test("registries and tags are those of the scopes", async () => {
  const scopes = [
    "a.test/b:1",
    "a.test/b:2",
    "a.test/bc:3",
    "a.test:5000/b:4",
    "a.test/b:1@sha256:0",
    "*.test",
    "",
  ];
  const docker = Object.fromEntries(scopes.map((it) => [it, REJECT]));
  const policy = await read({ default: REJECT, transports: { docker } });
  expect(policy.registries).toEqual(["a.test", "a.test:5000", "*.test"]);
  expect(policy.tagsOf("a.test/b")).toEqual(["1", "2"]);
  expect(policy.tagsOf("a.test:5000/b")).toEqual(["4"]);
  const none = await read({ default: REJECT });
  expect([none.registries, none.tagsOf("a.test/b")]).toEqual([[], []]);
});

test("a policy that can't be read is an error with its path", async () => {
  const path = join(folder, "missing.json");
  await expect(loadPolicy(path, SETTINGS)).rejects.toMatchObject({
    code: "CONFIG",
    message: `can't read the policy ${path}: no such file or directory`,
  });
});
