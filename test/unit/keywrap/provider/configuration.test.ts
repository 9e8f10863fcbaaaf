import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { findProvider } from "../../../../src/keywrap/provider/configuration.ts";
import { temporaryFolder } from "../../../support/temporary.ts";

const folder = temporaryFolder();
const file = join(folder, "providers.json");

function find(text: string, name = "kms") {
  writeFileSync(file, text);
  return findProvider(name, { OCICRYPT_KEYPROVIDER_CONFIG: file });
}

const entry = (json: string) => find(`{"key-providers":{"kms":${json}}}`);

const plain = { kind: "grpc", name: "kms", target: "kms:50051", tls: undefined };
const noTls = { rootCaFile: undefined, certFile: undefined, keyFile: undefined, serverName: undefined };

describe("an entry", () => {
  test.each([
    ['{"cmd":{"path":"/opt/kms"}}', { kind: "command", name: "kms", path: "/opt/kms", args: [] }],
    [
      '{"cmd":{"path":"kms","args":["a",""]}}',
      { kind: "command", name: "kms", path: "kms", args: ["a", ""] },
    ],
    ['{"cmd":{"path":"/k","args":null}}', { kind: "command", name: "kms", path: "/k", args: [] }],
    ['{"grpc":"kms:50051"}', plain],
    ['{"grpc":"kms:50051","grpc-tls":{}}', { ...plain, tls: { ...noTls, insecureSkipVerify: false } }],
    [
      '{"grpc":"kms:50051","grpc-tls":{"root-ca-file":"/ca","cert-file":"/c","key-file":"/k","server-name":"n","insecure-skip-verify":true}}',
      {
        ...plain,
        tls: { rootCaFile: "/ca", certFile: "/c", keyFile: "/k", serverName: "n", insecureSkipVerify: true },
      },
    ],
  ])("%s", (json, provider) => {
    expect(entry(json)).toEqual(provider);
  });

  test.each([
    ["unknown fields are ignored", '{"grpc":"kms:50051","comment":[1],"ttrpc":"x"}'],
    ["null is as absent", '{"grpc":"kms:50051","cmd":null,"grpc-tls":null}'],
    ["the case of names is ignored", '{"GRPC":"kms:50051"}'],
    ["the last of several counts", '{"grpc":"other:1","Grpc":"kms:50051"}'],
  ])("as Go reads JSON: %s", (_rule, json) => {
    expect(entry(json)).toEqual(plain);
  });

  test("cmd goes before grpc", () => {
    expect(entry('{"grpc":"kms:1","cmd":{"path":"/opt/kms"}}')).toMatchObject({ kind: "command" });
  });

  test("a mistake in another entry does no harm", () => {
    const json = '{"key-providers":{"broken":{"cmd":7},"kms":{"grpc":"kms:50051"}}}';
    expect(find(json)).toEqual(plain);
    expect(() => find(json, "broken")).toThrow(expect.objectContaining({ code: "CONFIG" }));
  });

  test.each([
    "7",
    "{}",
    '{"cmd":7}',
    '{"cmd":[]}',
    '{"cmd":{}}',
    '{"cmd":{"path":7}}',
    '{"cmd":{"path":""}}',
    '{"cmd":{"path":"./kms"}}',
    '{"cmd":{"path":"bin/kms"}}',
    '{"cmd":{"path":"/opt/k\\u0000ms"}}',
    '{"cmd":{"path":"/opt/kms","args":"-v"}}',
    '{"cmd":{"path":"/opt/kms","args":[7]}}',
    '{"cmd":{"path":"/opt/kms","args":["a\\u0000b"]}}',
    '{"grpc":7}',
    '{"grpc":""}',
    '{"grpc":"kms:1","grpc-tls":true}',
    '{"grpc":"kms:1","grpc-tls":{"root-ca-file":"ca.crt"}}',
    '{"grpc":"kms:1","grpc-tls":{"root-ca-file":7}}',
    '{"grpc":"kms:1","grpc-tls":{"cert-file":"/c"}}',
    '{"grpc":"kms:1","grpc-tls":{"key-file":"/k"}}',
    '{"grpc":"kms:1","grpc-tls":{"insecure-skip-verify":"false"}}',
  ])("%s is a mistake that names the provider", (json) => {
    expect(() => entry(json)).toThrow(
      expect.objectContaining({ code: "CONFIG", message: expect.stringContaining("kms") }),
    );
  });
});

describe("no provider of that name", () => {
  test.each([
    "{}",
    '{"key-providers":null}',
    '{"key-providers":{}}',
    '{"key-providers":{"KMS":{"grpc":"kms:1"}}}',
  ])("%s", (text) => {
    expect(find(text)).toMatchObject({ kind: "none", reason: expect.stringContaining(file) });
  });

  test.each(["__proto__", "constructor", "toString"])("%s, which every object seems to have", (name) => {
    expect(find('{"key-providers":{}}', name)).toMatchObject({ kind: "none" });
  });

  test.each([{}, { OCICRYPT_KEYPROVIDER_CONFIG: "" }, { OCICRYPT_KEYPROVIDER_CONFIG: undefined }])(
    "no configuration: %o",
    (environment) => {
      expect(findProvider("kms", environment)).toMatchObject({ kind: "none" });
    },
  );
});

describe("a file that can't be used", () => {
  const at = (path: string) => () => findProvider("kms", { OCICRYPT_KEYPROVIDER_CONFIG: path });

  test.each([
    "",
    "[]",
    "7",
    '"kms"',
    '{"key-providers":[]}',
    '{"key-providers":{"kms":',
    "[".repeat(200_000),
  ])("%.40s", (text) => {
    expect(() => find(text)).toThrow(expect.objectContaining({ code: "CONFIG" }));
  });

  test("the message says nothing of the content, which may be secret", () => {
    const json = '{"key-providers":{"kms":{"cmd":{"path":"/opt/kms","args":["--token=hunter2';
    expect(() => find(json)).toThrow(
      expect.not.objectContaining({ message: expect.stringContaining("hunter2") }),
    );
    expect(() => find(json)).toThrow(expect.objectContaining({ code: "CONFIG" }));
  });

  test.each(["missing", "directory", "fifo", "large"])("%s", (kind) => {
    const path = join(folder, kind);
    if (kind === "directory") mkdirSync(path);
    if (kind === "fifo") execFileSync("mkfifo", [path]);
    if (kind === "large") writeFileSync(path, `{"key-providers":{}}${" ".repeat(1 << 20)}`);
    expect(at(path)).toThrow(
      expect.objectContaining({ code: "CONFIG", message: expect.stringContaining(path) }),
    );
  });

  test.each(["providers.json", "./providers.json"])("%s, whatever the working directory holds", (path) => {
    const before = process.cwd();
    writeFileSync(file, '{"key-providers":{"kms":{"grpc":"kms:1"}}}');
    process.chdir(folder);
    try {
      expect(at(path)).toThrow(expect.objectContaining({ code: "CONFIG" }));
    } finally {
      process.chdir(before);
    }
  });
});

describe("a provider that was renamed", () => {
  const named = (more: string) =>
    `{"key-providers":{"new":{"grpc":"new:1","aliases":["old","older"]},"broken":{"aliases":"kms"}${more}}}`;

  test.each(["new", "old", "older"])("is found as %s", (name) => {
    expect(find(named(""), name)).toMatchObject({ name: "new", target: "new:1" });
  });

  test("an entry of its own goes before an alias, and an alias before the catch-all", () => {
    const all = named(',"old":{"grpc":"own:1"},"*":{"grpc":"all:1"}');
    expect(find(all, "old")).toMatchObject({ target: "own:1" });
    expect(find(all, "older")).toMatchObject({ target: "new:1" });
    expect(find(all, "unheard-of")).toMatchObject({ name: "*", target: "all:1" });
  });

  test("without alias and catch-all there is none, whatever the name", () => {
    for (const name of ["other", "kms", "*", "aliases", "constructor"])
      expect(find(named(""), name)).toMatchObject({ kind: "none", hint: expect.stringContaining(file) });
  });
});
