import { describe, expect, test } from "vitest";
import { parseImageName } from "../../../../src/trust/policy/image-name.ts";
import type { ImagePlace } from "../../../../src/trust/policy/policy.ts";
import { parsePolicy } from "../../../../src/trust/policy/read-policy.ts";
import { matchesWildcard, portFor } from "../../../../src/trust/policy/wildcard.ts";

const SETTINGS = { trustedRoot: undefined, unmatched: "reject", scopeIsIdentity: false } as const;
const KEY = "-----BEGIN PUBLIC KEY-----\nMFkw\n-----END PUBLIC KEY-----\n";

function docker(text: string): ImagePlace {
  const name = parseImageName(text);
  if (name === undefined) throw new Error(`bug: ${text}`);
  return { transport: "docker", name };
}

const read = (text: string) => parsePolicy(Buffer.from(text), "policy P", SETTINGS);

describe("Kubewarden's settings", () => {
  const settings = `
signatures:
  - image: "ghcr.io/shop/*"
    pubKeys: ["${KEY.replaceAll("\n", "\\n")}", "${KEY.replaceAll("\n", "\\n")}"]
    annotations: { env: prod }
  - image: "*/app:*"
    keyless: [{ issuer: "https://i", subject: "s" }]
  - image: "nginx*"
    githubActions: { owner: shop, repo: app }
  - image: "fedora*"
    githubActions: { owner: shop }
  - image: "quay.io/*"
    keylessPrefix: [{ issuer: "https://i", urlPrefix: "https://github.com/shop" }]
modifyImagesWithDigest: true
`;
  test("every matching entry must hold, with all its signers", async () => {
    const { requirement } = (await read(settings)).requirementFor(docker("ghcr.io/shop/app:1"));
    expect(requirement).toMatchObject({
      kind: "all-of",
      of: [
        { signer: { kind: "keys" }, annotations: new Map([["env", "prod"]]), log: { need: "ignored" } },
        { signer: { kind: "keys" } },
        { signer: { kind: "certificate" }, log: { need: "required" }, sct: "required" },
      ],
    });
  });

  test.each([
    ["nginx:1", "https://github.com/shop/app/"],
    ["docker.io/library/nginx:1", "https://github.com/shop/app/"],
    ["fedora:1", "https://github.com/shop/"],
    ["quay.io/x:1", "https://github.com/shop/"],
  ])("%s: a prefix ends at a slash, and the log is required", async (name, text) => {
    const { requirement } = (await read(settings)).requirementFor(docker(name));
    expect(requirement).toMatchObject({
      log: { need: "required" },
      signer: { identity: { subjects: [{ name: "uri", is: { kind: "prefix", text } }] } },
    });
  });

  test.each([
    ["ghcr.io/a/b:*", true],
    ["ghcr.io/a/b:v1*", true],
    ["ghcr.io/a/b:v?@sha256:*", true],
    ["*/b:*", true],
    ["ghcr.io/a/b:v1", false],
    ["ghcr.io/a/c:*", false],
  ])("%s for a name by digest, of which containerd leaves the tag out: %s", async (image, isMatch) => {
    const text = JSON.stringify({ signatures: [{ image, keyless: [{ issuer: "i", subject: "s" }] }] });
    const name = `ghcr.io/a/b@sha256:${"0".repeat(64)}`;
    const { requirement } = (await read(text)).requirementFor(docker(name));
    expect(requirement.kind).toBe(isMatch ? "signed-by" : "reject");
  });

  test("only an image of Docker Hub has a shorter name", async () => {
    const text = JSON.stringify({
      signatures: [{ image: "nginx*", keyless: [{ issuer: "i", subject: "s" }] }],
    });
    const kindOf = async (name: string) => (await read(text)).requirementFor(docker(name)).requirement.kind;
    expect(await kindOf("docker.io/library/nginx:1")).toBe("signed-by");
    // Its registry has as many letters as docker.io.
    expect(await kindOf("evil.test/library/nginx:1")).toBe("reject");
  });

  test("what no entry matches is rejected", async () => {
    const { requirement } = (await read(settings)).requirementFor(docker("registry.example.com/x:1"));
    expect(requirement).toEqual({ kind: "reject" });
  });

  test.each([
    "signatures: [{ image: a }]",
    "signatures: [{ image: a, pubKeys: [] }]",
    `signatures: [{ image: a, pubKeys: ["x"], keyless: [] }]`,
    `signatures: [{ image: a, pubkeys: ["x"] }]`,
    "signatures: [{ keyless: [{ issuer: i, subject: s }] }]",
    "signatures: [{ image: a, keyless: [{ issuer: i }] }]",
    "signatures: []",
    "signatures:",
    "signatures: [{ image: a, pubKeys: [x] }]\nsignatures: [{ image: a, pubKeys: [x] }]",
    "signatures: [{ image: a, pubKeys: [x] }]\nother: 1",
    // A demand whose value says nothing: its author meant one.
    "signatures: [{ image: a, githubActions: { owner: o, repo: '' } }]",
    "signatures: [{ image: a, certificates: [x], certificateChain: [] }]",
    "signatures: [{ image: a, certificates: [x], requireRekorBundle: yes }]",
    "signatures: [{ image: a, certificates: [x], requireRekorBundle: }]",
    "signatures: [{ image: a, pubKeys: [x], annotations: !!omap [env: prod] }]",
    "signatures: [{ image: a, pubKeys: [x], annotations: { <<: { env: prod } } }]",
  ])("%j is refused", async (text) => {
    await expect(read(text)).rejects.toMatchObject({ code: "CONFIG" });
  });
});

test.each(["# nothing\n", "---\n"])("a file without a document is not a policy: %j", async (text) => {
  await expect(read(text)).rejects.toMatchObject({
    code: "CONFIG",
    message: expect.stringMatching(/^policy P: it is not one document/),
  });
});

describe("a certificate of Kubewarden's settings", () => {
  const pem = "-----BEGIN CERTIFICATE-----\\nAA==\\n-----END CERTIFICATE-----\\n";
  test.each([
    ["true", "required"],
    ['"true"', "required"],
    ["True", "required"],
    ["false", "ignored"],
    ["FALSE", "ignored"],
    [undefined, "required"],
  ])("with requireRekorBundle %s: the log is %s", async (value, need) => {
    const more = value === undefined ? "" : `, requireRekorBundle: ${value}`;
    const text = `signatures: [{ image: "a.b/*", certificates: ["${pem}"]${more} }]`;
    const { requirement } = (await read(text)).requirementFor(docker("a.b/c:1"));
    expect(requirement).toMatchObject({ signer: { kind: "pinned-certificate" }, log: { need } });
  });

  test("every text of its chain counts", async () => {
    const text = `signatures: [{ image: "a.b/*", certificates: ["${pem}"], certificateChain: [one, two] }]`;
    const { requirement } = (await read(text)).requirementFor(docker("a.b/c:1"));
    expect(requirement).toMatchObject({ signer: { chain: { bytes: Buffer.from("one\ntwo") } } });
  });
});

describe("ClusterImagePolicy", () => {
  const policy = (spec: string) => `
apiVersion: policy.sigstore.dev/v1beta1
kind: ClusterImagePolicy
metadata: { name: shop }
spec: ${spec}
`;
  test("without its tag, an image counts as one that a policy for all tags accepts without signature", async () => {
    const pass = (glob: string) =>
      policy(`{ images: [{ glob: "${glob}" }], authorities: [{ static: { action: pass } }] }`);
    const name = docker(`ghcr.io/shop/app@sha256:${"0".repeat(64)}`);
    const kindOf = async (...globs: string[]) =>
      (await read(globs.map(pass).join("---"))).requirementFor(name).requirement.kind;
    expect(await kindOf("ghcr.io/shop/app:v*")).toBe("reject");
    expect(await kindOf("ghcr.io/shop/app:v*", "ghcr.io/shop/**")).not.toBe("reject");
  });

  test("a document of another kind among them is refused", async () => {
    const one = policy('{ images: [{ glob: "**" }], authorities: [{ static: { action: pass } }] }');
    const other = "\napiVersion: v1\nkind: ConfigMap\nmetadata: { name: shop }\n";
    await expect(read(`${one}---${other}`)).rejects.toThrow(/^policy P: it is not one document$/);
    await expect(read(`${other}---${one}`)).rejects.toThrow(/^policy P: it is not one document$/);
  });

  test("any authority of every matching policy", async () => {
    const two = [
      policy(
        '{ images: [{ glob: "ghcr.io/shop/**" }], authorities: [{ static: { action: pass } }, { static: { action: fail } }] }',
      ),
      policy(
        '{ images: [{ glob: "ghcr.io/*/app*" }], authorities: [{ keyless: { identities: [{ issuer: i, subjectRegExp: "a.*" }] } }] }',
      ),
    ].join("---");
    const { requirement } = (await read(two)).requirementFor(docker("ghcr.io/shop/app:1"));
    expect(requirement).toMatchObject({
      kind: "all-of",
      of: [
        { kind: "any-of", of: [{ kind: "accept" }, { kind: "reject" }] },
        { kind: "signed-by", log: { need: "required" } },
      ],
    });
    expect((await read(two)).requirementFor(docker("ghcr.io/shop/deep/app:1")).requirement).toMatchObject({
      kind: "any-of",
    });
    expect((await read(two)).requirementFor(docker("quay.io/x:1")).requirement).toEqual({ kind: "reject" });
  });

  test("attestations in place of the signature", async () => {
    const text = policy(
      `{ images: [{ glob: "**" }], authorities: [{ key: { data: "x" }, attestations: [{ name: a, predicateType: spdx }] }] }`,
    );
    expect((await read(text)).requirementFor(docker("a/b:1")).requirement).toMatchObject({
      statement: { kind: "attestation", predicateType: "https://spdx.dev/Document" },
    });
  });

  // policy-controller's pkg/apis/glob: a pattern without a tag is for "latest" only, and two patterns are for Docker Hub.
  test.each([
    ["registry.test/app", "registry.test/app:latest", "accept"],
    ["registry.test/app", "registry.test/app:1", "reject"],
    ["registry.test/app", `registry.test/app@sha256:${"0".repeat(64)}`, "reject"],
    ["registry.test/app*", "registry.test/app:1", "accept"],
    ["registry.test/app:**", `registry.test/app@sha256:${"0".repeat(64)}`, "reject"],
    ["registry.test/app**", `registry.test/app@sha256:${"0".repeat(64)}`, "accept"],
    ["*", "nginx:1", "accept"],
    ["*", "shop/app:1", "reject"],
    ["*/*", "shop/app:1", "accept"],
    ["*/*", "registry.test/app:1", "reject"],
    ["**", "registry.test/app:1", "accept"],
    ["index.docker.io/library/nginx:*", "nginx:1", "accept"],
    ["docker.io/library/nginx:*", "nginx:1", "accept"],
    ["nginx", "nginx:latest", "accept"],
    ["nginx", "nginx:1", "reject"],
  ])("the glob %s and %s: %s", async (glob, name, kind) => {
    const text = policy(`{ images: [{ glob: "${glob}" }], authorities: [{ static: { action: pass } }] }`);
    expect((await read(text)).requirementFor(docker(name)).requirement).toEqual({ kind });
  });

  test.each([
    ["registry.test/app:**", true],
    ["registry.test/app:v1*", true],
    ["registry.test/app:v1@**", true],
    ["registry.test/app:v1", false],
    ["registry.test/app:*/**", false],
    ["registry.test/ap:**", false],
  ])(
    "the glob %s for a name by digest, of which containerd leaves the tag out: %s",
    async (glob, isMatch) => {
      const text = policy(`{ images: [{ glob: "${glob}" }], authorities: [{ key: { data: "x" } }] }`);
      const name = `registry.test/app@sha256:${"0".repeat(64)}`;
      const { requirement } = (await read(text)).requirementFor(docker(name));
      expect(requirement.kind).toBe(isMatch ? "signed-by" : "reject");
    },
  );

  test("of several keys in one text, the first counts", async () => {
    const text = policy('{ images: [{ glob: "**" }], authorities: [{ key: { data: "x" } }] }');
    expect((await read(text)).requirementFor(docker("a/b:1")).requirement).toMatchObject({
      signer: { keys: [{ hasOneKey: true }] },
    });
  });

  test.each([
    "{ images: [], authorities: [] }",
    '{ images: [{ glob: "app?" }], authorities: [{ static: { action: pass } }] }',
    '{ images: [{ glob: "{a,b}" }], authorities: [{ static: { action: pass } }] }',
    '{ images: [{ glob: a }], authorities: [{ static: { action: pass } }], policy: { type: cue, data: "x" } }',
    "{ images: [{ glob: a }], authorities: [{ static: { action: pass } }], mode: warn }",
    "{ images: [{ glob: a }], authorities: [{ key: { secretRef: { name: x } } }] }",
    "{ images: [{ glob: a }], authorities: [{ key: { data: x }, attestations: [{ predicateType: spdx, policy: { type: rego, data: x } }] }] }",
    "{ images: [{ glob: a }], authorities: [{ keyless: { url: x } }] }",
    "{ images: [{ glob: a }], authorities: [{ keyless: { identities: [{ issuer: '', subject: s }] } }] }",
    "{ images: [{ glob: a }], authorities: [{ static: { action: pass }, key: { data: x } }] }",
    "{ images: [{ glob: a }], authorities: [{ static: { action: pass }, attestations: [{ predicateType: spdx }] }] }",
  ])("%s is refused", async (spec) => {
    await expect(read(policy(spec))).rejects.toMatchObject({ code: "CONFIG" });
  });

  test("one document of another kind refuses the file", async () => {
    const text = `${policy("{ images: [{ glob: a }], authorities: [{ static: { action: pass } }] }")}---\nkind: Secret\n`;
    await expect(read(text)).rejects.toMatchObject({ code: "CONFIG" });
  });
});

test.each([
  ["registry.test:5000/shop/*", ["registry.test:5000"]],
  ["registry.test/**", ["registry.test"]],
  ["localhost/app", ["localhost"]],
  ["shop/app:1", []],
  ["*.registry.test/app", []],
  ["registry.test*/app", []],
  ["registry.test:5*/app", ["registry.test:5*"]],
  ["registry.test:5000*", ["registry.test:5000*"]],
  ["*.registry.test:5000/app", ["*.registry.test:5000"]],
  ["nginx:1.25", []],
])("the pattern %s names the registries %j", async (pattern, registries) => {
  const entry = { image: pattern, keyless: [{ issuer: "i", subject: "s" }] };
  expect((await read(JSON.stringify({ signatures: [entry, entry] }))).registries).toEqual(registries);
  const spec = { images: [{ glob: pattern }], authorities: [{ static: { action: "pass" } }] };
  const policy = {
    apiVersion: "policy.sigstore.dev/v1beta1",
    kind: "ClusterImagePolicy",
    metadata: {},
    spec,
  };
  expect((await read(JSON.stringify(policy))).registries).toEqual(registries);
});

test.each([
  ["registry.test:5000", "registry.test", "5000"],
  ["*.test:5000", "registry.test", "5000"],
  ["registry.test:*", "registry.test", "0"],
  ["registry.test:5*", "registry.test", "5"],
  ["*:5???", "registry.test", "5000"],
  ["*:5000", "registry.test:443", undefined],
  ["other.test:5000", "registry.test", undefined],
  ["registry.test", "registry.test", undefined],
  ["[::1]:5000", "[::1]", "5000"],
])("the registry %s names for the host %s the port %s", (registry, host, port) => {
  expect(portFor(host, registry)).toBe(port);
});

describe("patterns", () => {
  test.each([
    ["a*c", "abbbc", true, true],
    ["a*c", "ab/bc", true, false],
    ["a**c", "ab/bc", true, true],
    ["a?c", "abc", true, true],
    ["a?c", "ac", false, false],
    ["*", "", true, true],
    ["a.c", "abc", false, false],
    ["**/app", "x/y/app", true, true],
  ])("%s and %s", (pattern, text, everywhere, component) => {
    expect(matchesWildcard(pattern, text, "everything")).toBe(everywhere);
    expect(matchesWildcard(pattern, text, "one path component")).toBe(component);
  });

  test("a hostile pattern takes no longer than a long one", () => {
    expect(matchesWildcard(`${"*a".repeat(200)}b`, "a".repeat(1000), "everything")).toBe(false);
  });
});
