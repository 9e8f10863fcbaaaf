import { generateKeyPairSync } from "node:crypto";
import { closeSync, openSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { loadKeys } from "../../../src/keys/load.ts";
import { addNamedKeys } from "../../../src/keys/named.ts";
import { Secret } from "../../../src/secret.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const folder = temporaryFolder();
const path = (name: string) => join(folder, name);

beforeAll(() => {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const pkcs8 = { format: "pem", type: "pkcs8" } as const;
  writeFileSync(path("plain.pem"), privateKey.export(pkcs8));
  writeFileSync(
    path("locked.pem"),
    privateKey.export({ ...pkcs8, cipher: "aes-256-cbc", passphrase: "se:cret" }),
  );
  writeFileSync(path("odd:name.pem"), privateKey.export(pkcs8));
  writeFileSync(path("public.pem"), publicKey.export({ format: "pem", type: "spki" }));
  const spki = publicKey.export({ format: "pem", type: "spki" });
  writeFileSync(path("bundle.pem"), `${privateKey.export(pkcs8)}${spki}`);
  writeFileSync(path("password"), "se:cret\r\n");
});

async function named(...specs: string[]) {
  return await addNamedKeys(specs, await loadKeys({ strictKeys: false, allowExternalSymlinks: false }));
}

test.each([
  ["a plain key", () => "plain.pem"],
  ["a name with a colon", () => "odd:name.pem"],
  ["a key before its public half", () => "bundle.pem"],
  ["a password on the command line", () => "locked.pem:pass=se:cret"],
  ["a password in a file, without its line end", () => `locked.pem:file=${path("password")}`],
])("%s", async (_, spec) => {
  expect((await named(path(spec()))).keys).toMatchObject([{ type: "ec", curve: "P-256" }]);
});

test("a password from a file descriptor", async () => {
  const fd = openSync(path("password"), "r");
  expect((await named(`${path("locked.pem")}:fd=${fd}`)).keys).toHaveLength(1);
  closeSync(fd);
});

test.each([
  ["a file that isn't there", "none.pem"],
  ["a public key", "public.pem"],
  ["no password", "locked.pem"],
  ["a wrong password", "locked.pem:pass=wrong"],
  ["a password file that isn't there", "locked.pem:file=/none"],
  ["a descriptor that is no number", "locked.pem:fd=x"],
  ["a descriptor that ends in a number", "locked.pem:fd=x1"],
  ["a descriptor that begins with a number", "locked.pem:fd=1x"],
])("%s is an error, and tells no password", async (_, spec) => {
  const failed = await named(path(spec)).catch((error) => error);
  expect(failed).toMatchObject({ code: "BAD_KEY" });
  expect(failed.message).not.toMatch(/wrong$|se:cret/);
});

test.each([
  ["filename=", /^did you mean --key .*locked\.pem:file=secret\?$/],
  ["a-filename=", /:file=PASSWORD-FILE, .*:fd=NUMBER or .*:pass=TEXT/],
  ["", /:file=PASSWORD-FILE, .*:fd=NUMBER or .*:pass=TEXT/],
])("ocicrypt's KEY:%sPASSWORD is refused with the right form", async (form, hint) => {
  const failed = await named(`${path("locked.pem")}:${form}secret`).catch((error) => error);
  expect(failed).toMatchObject({ code: "BAD_KEY", hint: expect.stringMatching(hint) });
  expect(failed.message).not.toContain("secret");
});

test("an empty file is refused, and one that only begins like a provider is a file", async () => {
  writeFileSync(path("empty.pem"), "");
  await expect(named(path("empty.pem"))).rejects.toThrow(
    `the key ${path("empty.pem")} can't be used: it is empty`,
  );
  await expect(named("xprovider:kms")).rejects.toMatchObject({ code: "BAD_KEY" });
  await expect(named("provider:")).rejects.toMatchObject({ code: "BAD_KEY" });
});

test.each(["SIGSTORE", "COSIGN"])(
  "a signing key of cosign with the label %s is named as one",
  async (label) => {
    const name = `ENCRYPTED ${label} PRIVATE KEY`;
    writeFileSync(path("cosign.key"), `-----BEGIN ${name}-----\ne30=\n-----END ${name}-----\n`);
    await expect(named(path("cosign.key"))).rejects.toMatchObject({
      code: "BAD_KEY",
      hint: expect.stringMatching(/^it is a signing key of cosign, which can't decrypt layers: /),
    });
  },
);

test("a name after a line feed is not the file's", async () => {
  await expect(named(`\n${path("plain.pem")}`)).rejects.toMatchObject({ code: "BAD_KEY" });
});

test("a name that begins with a colon is a file's", async () => {
  const failed = await named(":nothing").catch((error) => error);
  expect(failed.message).toMatch(/^can't read the key :nothing: /);
});

test("what a key provider is told", async () => {
  const { parameters, keys } = await named("provider:kms:region=x", "provider:other");
  expect(keys).toEqual([]);
  const told = [...parameters].map(([name, values]) => [
    name,
    values.map((it) => Buffer.from(it ?? []).toString()),
  ]);
  expect(told).toEqual([
    ["kms", ["region=x"]],
    ["other", [""]],
  ]);
});

test("keys that are named come before those of the folder", async () => {
  const base = await loadKeys({
    keysPath: path("odd:name.pem"),
    strictKeys: false,
    allowExternalSymlinks: false,
  });
  const { keys } = await addNamedKeys([path("plain.pem")], base);
  expect(keys.map(({ origin }) => origin.split("/").at(-1))).toEqual(["plain.pem", "odd:name.pem"]);
});

describe("the user is asked for a password", () => {
  /** Names a key, and answers with these passwords. @returns how often it was asked, and the keys or the error's code */
  async function asked(spec: string, ...answers: string[]) {
    const files: string[] = [];
    const base = await loadKeys({ strictKeys: false, allowExternalSymlinks: false });
    const result = addNamedKeys([path(spec)], base, async (file) => {
      const answer = answers[files.push(file) - 1];
      return answer === undefined ? undefined : new Secret(new Uint8Array(Buffer.from(answer)));
    });
    const outcome = await result.then(
      ({ keys }) => keys.length,
      ({ code }) => code,
    );
    expect(files).toEqual(files.map(() => path(spec)));
    return [files.length, outcome];
  }

  test("up to three times", async () => {
    expect(await asked("locked.pem", "se:cret")).toEqual([1, 1]);
    expect(await asked("locked.pem", "a", "b", "se:cret")).toEqual([3, 1]);
    expect(await asked("locked.pem", "a", "b", "c", "se:cret")).toEqual([3, "BAD_KEY"]);
  });

  test("not again after no answer", async () => {
    expect(await asked("locked.pem")).toEqual([1, "BAD_KEY"]);
    expect(await asked("locked.pem", "a")).toEqual([2, "BAD_KEY"]);
  });

  test.each([
    ["that was named wrongly", "locked.pem:pass=wrong", "BAD_KEY"],
    ["that was named", "locked.pem:pass=se:cret", 1],
    ["of a plain key", "plain.pem", 1],
    ["of a public key", "public.pem", "BAD_KEY"],
  ])("never for one %s", async (_what, spec, outcome) => {
    expect(await asked(spec, "se:cret")).toEqual([0, outcome]);
  });
});

test("the advice for a missing key is kept", async () => {
  const { advice, ...base } = await loadKeys({ strictKeys: false, allowExternalSymlinks: false });
  expect(await addNamedKeys([], { ...base, advice: "do this" })).toMatchObject({ advice: "do this" });
  expect(await addNamedKeys([], base)).not.toHaveProperty("advice");
  expect(await named()).toMatchObject({ advice });
});
