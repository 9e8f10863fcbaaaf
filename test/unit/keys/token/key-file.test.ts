import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { inspect } from "node:util";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { parseKeyFile, readPin } from "../../../../src/keys/token/key-file.ts";
import { parsePkcs11Uri } from "../../../../src/keys/token/uri.ts";
import { temporaryFolder } from "../../../support/temporary.ts";

const folder = temporaryFolder();

const parse = (yaml: string) => parseKeyFile(new TextEncoder().encode(yaml));
const badKey = expect.objectContaining({ code: "BAD_KEY" });

describe("a key file", () => {
  test("names a URI and an environment", () => {
    const { uri, environment } = parse(
      "pkcs11:\n  uri: pkcs11:token=a;object=k?pin-value=0123\nmodule:\n  env:\n    SOFTHSM2_CONF: /etc/x\n    DEBUG: 0\n    EMPTY:\n",
    );
    expect(uri).toMatchObject({ object: "k", pinValue: "0123", token: { label: "a" } });
    expect(environment).toEqual({ SOFTHSM2_CONF: "/etc/x", DEBUG: "0", EMPTY: "" });
  });

  test.each([
    ["no module", "pkcs11: {uri: 'pkcs11:object=k'}"],
    ["no variables", "pkcs11: {uri: 'pkcs11:object=k'}\nmodule: {env: }"],
    ["a document's marks", "--- # key\npkcs11:\n  uri: pkcs11:object=k\n...\n"],
    ["a second document", "pkcs11:\n  uri: pkcs11:object=k\n---\nother: 1\n"],
    ["an alias", "x: &u pkcs11:object=k\npkcs11: {uri: *u}"],
    ["16 KiB", "pkcs11: {uri: 'pkcs11:object=k'} #".padEnd(16_384)],
    ["JSON", '{"pkcs11":{"uri":"pkcs11:object=k"},"more":[1]}'],
  ])("may have %s", (_what, yaml) => {
    expect(parse(yaml)).toMatchObject({ uri: { object: "k" }, environment: {} });
  });

  const bomb = ["a: &a [x, x, x, x, x, x, x, x, x]"];
  for (const [name, from] of ["ba", "cb", "dc", "ed"].map((pair) => [...pair])) {
    bomb.push(`${name}: &${name} [${Array(9).fill(`*${from}`).join(", ")}]`);
  }
  test.each([
    ["nothing", ""],
    ["a text", "pkcs11"],
    ["a list", "- pkcs11: {uri: 'pkcs11:'}"],
    ["no URI", "pkcs11: {url: 'pkcs11:object=k'}"],
    ["a list of URIs", "pkcs11: {uri: ['pkcs11:object=k']}"],
    ["a list of keys", "pkcs11:\n- uri: pkcs11:object=k"],
    ["a bad URI", "pkcs11: {uri: 'pkcs11:object'}"],
    ["an open bracket", "pkcs11: {uri: 'pkcs11:object=k'"],
    ["the same name twice", "pkcs11: {uri: 'pkcs11:object=k'}\npkcs11: {uri: 'pkcs11:object=l'}"],
    ["an environment that is a list", "pkcs11: {uri: 'pkcs11:object=k'}\nmodule: {env: [A=b]}"],
    ["a variable that is a list", "pkcs11: {uri: 'pkcs11:object=k'}\nmodule: {env: {A: [b]}}"],
    ["a variable's name with =", "pkcs11: {uri: 'pkcs11:object=k'}\nmodule: {env: {A=B: c}}"],
    ["a variable with NUL", 'pkcs11: {uri: "pkcs11:object=k"}\nmodule: {env: {A: "b\\0c"}}'],
    ["an alias bomb", `${bomb.join("\n")}\npkcs11: {uri: 'pkcs11:object=k'}`],
    ["endless nesting", `pkcs11: ${"[".repeat(16_000)}`],
    ["too many bytes", "pkcs11: {uri: 'pkcs11:object=k'} #".padEnd(16_385)],
  ])("with %s is refused", (_what, yaml) => {
    expect(() => parse(yaml)).toThrow(badKey);
  });

  test.each([
    "LD_PRELOAD",
    "LD_LIBRARY_PATH",
    "DYLD_INSERT_LIBRARIES",
    "GCONV_PATH",
    "BUN_BE_BUN",
    "BUN_OPTIONS",
    "NODE_OPTIONS",
    "OPENSSL_CONF",
    "OPENSSL_MODULES",
    "OPENSSL_ENGINES",
    "TMPDIR",
    "TMP",
    "TEMP",
  ])("can't set %s: it would run other code than the allowed module", (name) => {
    expect(() => parse(`pkcs11: {uri: 'pkcs11:object=k'}\nmodule: {env: {${name}: /tmp/x}}`)).toThrow(badKey);
  });

  test.each(["MODULE_LD_PATH", "PIN_TMPDIR", "TMPDIR_OF_MODULE", "MY_NODE_OPTIONS"])(
    "can set %s, which only the module reads",
    (name) => {
      const { environment } = parse(`pkcs11: {uri: 'pkcs11:object=k'}\nmodule: {env: {${name}: x}}`);
      expect(environment).toEqual({ [name]: "x" });
    },
  );

  test.each(["pkcs11: {uri: 'pkcs11:?pin-value=s3cret", "s3cret", "pkcs11: {uri: s3cret}", "a: *s3cret"])(
    "is not quoted by the error: %s",
    (yaml) => {
      let error: unknown;
      try {
        parse(yaml);
      } catch (caught) {
        error = caught;
      }
      expect(error).toEqual(badKey);
      expect(inspect(error)).not.toContain("s3cret");
    },
  );
});

describe("a PIN", () => {
  const file = join(folder, "pin file");
  const pin = (query: string) => readPin(parsePkcs11Uri(`pkcs11:?${query}`));

  test("is absent, or the URI's", () => {
    expect(readPin(parsePkcs11Uri("pkcs11:"))).toBeUndefined();
    expect(pin("pin-value=12%2034")).toBe("12 34");
  });

  test.each([
    ["1234", "1234"],
    ["1234\n", "1234"],
    ["1234\r\n", "1234"],
    [" 12 34 \n\n", " 12 34 \n"],
    ["12\n34\n", "12\n34"],
    ["pässword", "pässword"],
  ])("is a file's %j", (content, expected) => {
    writeFileSync(file, content);
    expect(pin(`pin-source=${encodeURIComponent(file)}`)).toBe(expected);
    expect(pin(`pin-source=${encodeURIComponent(pathToFileURL(file).href)}`)).toBe(expected);
    expect(pin(`pin-source=file:${encodeURIComponent(encodeURI(file))}`)).toBe(expected);
  });

  test.each([
    ["a relative path", "pin"],
    ["a relative URI", "file:pin"],
    ["another machine's file", "file://example.com/pin"],
    ["another scheme", "https://example.com/pin"],
    ["a command", "|cat /pin"],
    ["no file", "/nowhere/pin"],
    ["a directory", folder],
    ["a device", "/dev/zero"],
  ])("is not read from %s", (_what, source) => {
    expect(() => pin(`pin-source=${encodeURIComponent(source)}`)).toThrow(badKey);
  });

  test("is zeroed where it was read", () => {
    writeFileSync(file, "s3cret");
    const from = vi.spyOn(Buffer, "from");
    onTestFinished(() => from.mockRestore());
    expect(pin(`pin-source=${encodeURIComponent(file)}`)).toBe("s3cret");
    const read = from.mock.calls.flatMap(([source]: unknown[]) =>
      source instanceof ArrayBuffer ? [source] : [],
    );
    expect(read.map((memory) => new Uint8Array(memory))).toEqual([new Uint8Array(6)]);
  });

  test("is not waited for at a FIFO", () => {
    const fifo = join(folder, "fifo");
    execFileSync("mkfifo", [fifo]);
    expect(() => pin(`pin-source=${fifo}`)).toThrow(badKey);
  });
});
