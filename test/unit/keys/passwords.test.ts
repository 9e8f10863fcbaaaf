import { execFileSync } from "node:child_process";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { passwordIn, passwordLookup } from "../../../src/keys/passwords.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const folder = temporaryFolder();
mkdirSync(join(folder, "sub/directory"), { recursive: true });
writeFileSync(join(folder, "key.pem"), "plain");
writeFileSync(join(folder, "sub/key.pem"), "below");
symlinkSync("sub/key.pem", join(folder, "link.pem"));
execFileSync("mkfifo", [join(folder, "fifo")]);

const found = (path: string | undefined, name: string) =>
  passwordLookup(path)(name).map(({ bytes }) => Buffer.from(bytes).toString("latin1"));

test("without a path there are none", () => expect(found(undefined, "key.pem")).toEqual([]));

test.each([
  ["key.pem", ["plain"]],
  ["sub/key.pem", ["below"]],
  ["link.pem", ["below"]],
  ["other.pem", []],
  ["key.pem/x", []],
])("%s", (name, passwords) => expect(found(folder, name)).toEqual(passwords));

test("a single file is every key's password", () => {
  expect(found(join(folder, "key.pem"), "any")).toEqual(["plain"]);
});

test.each([
  ["text\n", "text"],
  ["text\r\n", "text"],
  ["text\r", "text"],
  ["text\n\n", "text\n"],
  [" text ", " text "],
  ["two\nlines\n", "two\nlines"],
  ["\n", ""],
  ["", ""],
])("of %j the password is %j", (content, password) => {
  writeFileSync(join(folder, "content"), content);
  expect(found(folder, "content")).toEqual([password]);
});

test.each(["sub/directory", "fifo"])("%s in a password's place is an error", (name) => {
  expect(() => found(folder, name)).toThrow(expect.objectContaining({ code: "BAD_KEY" }));
});

test("a path that is missing is an error at once", () => {
  expect(() => passwordLookup(join(folder, "missing"))).toThrow(
    expect.objectContaining({ code: "BAD_KEY", hint: expect.stringContaining("--key-passwords-path") }),
  );
});

test("the text that a password was read from is zeroed", () => {
  const text = new Uint8Array(Buffer.from("secret\n"));
  expect(Buffer.from(passwordIn(text).bytes).toString()).toBe("secret");
  expect(text).toEqual(new Uint8Array(7));
});
