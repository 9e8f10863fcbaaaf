import { chmodSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, expect, test } from "vitest";
import { exactly, keylessSigner, unnamedLeaf } from "../../../src/trust/policy/keyless.ts";
import type { Requirement } from "../../../src/trust/requirement.ts";
import { decidedWithoutSignatures } from "../../../src/trust/requirement-tree.ts";
import { Verdicts } from "../../../src/trust/verdicts.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const DIGEST = `sha256:${"a".repeat(64)}`;
const VERDICT = { name: "a.b/c:1", digest: DIGEST, signer: "key 1", scope: "a.b" };
const folder = temporaryFolder();
let number = 0;
let now = 1_000_000;
let place: string;
let verdicts: Verdicts;

beforeEach(() => {
  now = 1_000_000;
  place = join(folder, String(number++));
  verdicts = new Verdicts(place, 1000, () => now);
});

const key = (bytes: string): Requirement =>
  unnamedLeaf("x", { kind: "keys", keys: [{ name: "k", bytes: Buffer.from(bytes) }] }, {});
const basis = (text = "policy", requirement = key("1"), settings = "{}") => ({
  policyBytes: Buffer.from(text),
  requirement,
  settings,
});

test("a verdict is read again, until it expires", async () => {
  expect(await verdicts.read("a.b/c:1", DIGEST, basis())).toBeUndefined();
  await verdicts.write(VERDICT, basis());
  expect(await verdicts.read("a.b/c:1", DIGEST, basis())).toMatchObject(VERDICT);
  expect(verdicts.namesOf(DIGEST)).toEqual(["a.b/c:1"]);
  now += 999;
  expect(await verdicts.read("a.b/c:1", DIGEST, basis())).toBeDefined();
  now += 1;
  expect(await verdicts.read("a.b/c:1", DIGEST, basis())).toBeUndefined();
  expect(verdicts.namesOf(DIGEST)).toEqual([]);
});

test("a clock that was set back makes no verdict", async () => {
  await verdicts.write(VERDICT, basis());
  now -= 1;
  expect(await verdicts.read("a.b/c:1", DIGEST, basis())).toBeUndefined();
});

test("another name, digest, policy, key, setting or trusted root voids it", async () => {
  await verdicts.write(VERDICT, basis());
  const trusted = unnamedLeaf(
    "x",
    { kind: "keys", keys: [{ name: "k", bytes: Buffer.from("1") }] },
    {
      trustedRoot: { name: "r", bytes: Buffer.from("r") },
    },
  );
  expect(await verdicts.read("a.b/d:1", DIGEST, basis())).toBeUndefined();
  expect(await verdicts.read("a.b/c:1", `sha256:${"b".repeat(64)}`, basis())).toBeUndefined();
  expect(await verdicts.read("a.b/c:1", DIGEST, basis("other"))).toBeUndefined();
  expect(await verdicts.read("a.b/c:1", DIGEST, basis("policy", key("2")))).toBeUndefined();
  expect(await verdicts.read("a.b/c:1", DIGEST, basis("policy", trusted))).toBeUndefined();
  expect(await verdicts.read("a.b/c:1", DIGEST, basis("policy", key("1"), "{ }"))).toBeUndefined();
});

test("a folder or file that others had a hand in is worth nothing", async () => {
  await verdicts.write(VERDICT, basis());
  expect(statSync(place).mode & 0o777).toBe(0o700);
  const [file = ""] = readdirSync(place);
  const text = readFileSync(join(place, file), "utf8");
  writeFileSync(join(place, file), text.replace("a.b/c:1", "a.b/x:1"));
  expect(await verdicts.read("a.b/c:1", DIGEST, basis())).toBeUndefined();
  writeFileSync(join(place, file), text);
  expect(await verdicts.read("a.b/c:1", DIGEST, basis())).toBeDefined();
  chmodSync(place, 0o755);
  expect(await verdicts.read("a.b/c:1", DIGEST, basis())).toBeUndefined();
  await expect(verdicts.write(VERDICT, basis())).rejects.toThrow(/worth nothing/);
});

test("what a tree comes to without signatures", async () => {
  const accept: Requirement = { kind: "accept" };
  const reject: Requirement = { kind: "reject" };
  const signed = unnamedLeaf("x", keylessSigner(exactly("s"), exactly("i")), {});
  const all = (...of: Requirement[]) => decidedWithoutSignatures({ kind: "all-of", of });
  const any = (...of: Requirement[]) => decidedWithoutSignatures({ kind: "any-of", of });
  expect([all(), all(accept), all(accept, signed), all(signed, reject), all(accept, accept)]).toEqual([
    false,
    true,
    undefined,
    false,
    true,
  ]);
  expect([any(), any(reject), any(reject, signed), any(signed, accept), any(reject, reject)]).toEqual([
    false,
    false,
    undefined,
    true,
    false,
  ]);
});
