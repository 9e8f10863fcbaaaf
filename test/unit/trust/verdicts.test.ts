import {
  chmodSync,
  chownSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { beforeEach, expect, test } from "vitest";
import { exactly, keylessSigner, unnamedLeaf } from "../../../src/trust/policy/keyless.ts";
import type { Requirement } from "../../../src/trust/requirement.ts";
import { decidedWithoutSignatures, filesOfLeaf, leavesOf } from "../../../src/trust/requirement-tree.ts";
import { Verdicts } from "../../../src/trust/verdicts.ts";
import { describeWith, root } from "../../support/peers.ts";
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
  named: [...leavesOf(requirement)].flatMap(filesOfLeaf),
  settings,
  files: [],
});

test("a verdict is read again, until it expires", () => {
  expect(verdicts.read("a.b/c:1", DIGEST, basis())).toBeUndefined();
  verdicts.write(VERDICT, basis());
  expect(verdicts.read("a.b/c:1", DIGEST, basis())).toMatchObject(VERDICT);
  expect(verdicts.namesOf(DIGEST)).toEqual(["a.b/c:1"]);
  now += 999;
  expect(verdicts.read("a.b/c:1", DIGEST, basis())).toBeDefined();
  now += 1;
  expect(verdicts.read("a.b/c:1", DIGEST, basis())).toBeUndefined();
  expect(verdicts.namesOf(DIGEST)).toEqual([]);
});

test("it ends with the signature that it is about", () => {
  verdicts.write({ ...VERDICT, until: now + 10 }, basis());
  now += 9;
  expect(verdicts.read("a.b/c:1", DIGEST, basis())).toMatchObject(VERDICT);
  now += 1;
  expect(verdicts.read("a.b/c:1", DIGEST, basis())).toBeUndefined();
});

test("a folder with 4,096 verdicts loses the older half", () => {
  verdicts.write(VERDICT, basis());
  for (let i = 0; i < 4094; i++) {
    const path = join(place, String(i));
    writeFileSync(path, "");
    utimesSync(path, i, i);
  }
  verdicts.write(VERDICT, basis("another policy"));
  expect(readdirSync(place)).toHaveLength(4096);
  verdicts.write(VERDICT, basis("a third policy"));
  expect(readdirSync(place)).toHaveLength(2049);
  expect(["2047", "2048"].filter((it) => readdirSync(place).includes(it))).toEqual(["2048"]);
  expect(verdicts.read("a.b/c:1", DIGEST, basis())).toMatchObject(VERDICT);
});

test("of one digest's verdicts, 256 are looked at", () => {
  verdicts.write(VERDICT, basis());
  const [file = ""] = readdirSync(place);
  const text = readFileSync(join(place, file), "utf8");
  const copy = (i: number) => writeFileSync(join(place, `${"a".repeat(64)}.${i}`), text);
  for (let i = 1; i < 256; i++) copy(i);
  expect(verdicts.namesOf(DIGEST)).toHaveLength(256);
  copy(256);
  expect(verdicts.namesOf(DIGEST)).toHaveLength(256);
});

test("a verdict of 16 KiB is read, and no longer one", () => {
  verdicts.write(VERDICT, basis());
  const [file = ""] = readdirSync(place);
  const text = readFileSync(join(place, file), "utf8");
  for (const [size, names] of [
    [16_384, ["a.b/c:1"]],
    [16_385, []],
  ] as const) {
    writeFileSync(join(place, file), text.padEnd(size));
    expect(verdicts.namesOf(DIGEST)).toEqual(names);
  }
});

test("a verdict lists its files if it has 16 KiB with them, and no more", () => {
  // Each name has one character in JSON for each byte of the file.
  const filesOf = (chars: number) => {
    const files = [{ name: `/${"x".repeat(chars)}`, bytes: Buffer.of() }];
    verdicts.write(VERDICT, { ...basis(), files });
    const [file = ""] = readdirSync(place);
    const text = readFileSync(join(place, file), "utf8");
    return { size: text.length, count: JSON.parse(text).files.length };
  };
  const { size } = filesOf(1);
  expect(filesOf(16_384 - size + 1)).toEqual({ size: 16_384, count: 1 });
  expect(filesOf(16_384 - size + 2)).toMatchObject({ count: 0 });
});

test("a verdict that can't be written leaves no part of it", () => {
  verdicts.write(VERDICT, basis());
  const [file = ""] = readdirSync(place);
  rmSync(join(place, file));
  mkdirSync(join(place, file));
  expect(() => verdicts.write(VERDICT, basis())).toThrow(
    expect.objectContaining({
      code: "IO",
      message: expect.stringContaining(`can't write a verdict to ${place}: `),
    }),
  );
  expect(readdirSync(place)).toEqual([file]);
});

test("a verdict is as it was written", () => {
  const files = [{ name: "/a", bytes: Buffer.from("a") }];
  verdicts.write(VERDICT, { ...basis(), files });
  const [file = ""] = readdirSync(place);
  const text = readFileSync(join(place, file), "utf8");
  const whole = JSON.parse(text);
  expect(whole).toEqual({
    ...VERDICT,
    at: "1970-01-01T00:16:40.000Z",
    expires: "1970-01-01T00:16:41.000Z",
    program: expect.any(String),
    files: ["/a"],
    hash: expect.stringMatching(/^[0-9a-f]{64}$/),
  });
  expect(statSync(join(place, file)).mode & 0o777).toBe(0o600);
  const wrong = [
    ...Object.keys(VERDICT).map((name) => ({ [name]: 1 })),
    ...["at", "expires", "program", "hash"].map((name) => ({ [name]: undefined })),
    { files: "/a" },
    { files: ["/a", 1] },
    { digest: `sha256:${"b".repeat(64)}` },
  ];
  for (const change of wrong) {
    writeFileSync(join(place, file), JSON.stringify({ ...whole, ...change }));
    expect(verdicts.namesOf(DIGEST)).toEqual([]);
    expect(verdicts.read("a.b/c:1", DIGEST, basis())).toBeUndefined();
  }
  for (const other of ["[]", "{", ""]) {
    writeFileSync(join(place, file), other);
    expect(verdicts.namesOf(DIGEST)).toEqual([]);
  }
  writeFileSync(join(place, file), text);
  expect(verdicts.namesOf(DIGEST)).toEqual(["a.b/c:1"]);
});

test("a clock that was set back makes no verdict", () => {
  verdicts.write(VERDICT, basis());
  now -= 1;
  expect(verdicts.read("a.b/c:1", DIGEST, basis())).toBeUndefined();
});

test("another name, digest, policy, key, setting or trusted root voids it", () => {
  verdicts.write(VERDICT, basis());
  const trusted = unnamedLeaf(
    "x",
    { kind: "keys", keys: [{ name: "k", bytes: Buffer.from("1") }] },
    {
      trustedRoot: { name: "r", bytes: Buffer.from("r") },
    },
  );
  expect(verdicts.read("a.b/d:1", DIGEST, basis())).toBeUndefined();
  expect(verdicts.read("a.b/c:1", `sha256:${"b".repeat(64)}`, basis())).toBeUndefined();
  expect(verdicts.read("a.b/c:1", DIGEST, basis("other"))).toBeUndefined();
  expect(verdicts.read("a.b/c:1", DIGEST, basis("policy", key("2")))).toBeUndefined();
  expect(verdicts.read("a.b/c:1", DIGEST, basis("policy", trusted))).toBeUndefined();
  expect(verdicts.read("a.b/c:1", DIGEST, basis("policy", key("1"), "{ }"))).toBeUndefined();
});

test("verdicts that other users may have written are not used", () => {
  verdicts.write(VERDICT, basis());
  expect(statSync(place).mode & 0o777).toBe(0o700);
  const [file = ""] = readdirSync(place);
  const text = readFileSync(join(place, file), "utf8");
  writeFileSync(join(place, file), text.replace("a.b/c:1", "a.b/x:1"));
  expect(verdicts.read("a.b/c:1", DIGEST, basis())).toBeUndefined();
  writeFileSync(join(place, file), text);
  expect(verdicts.read("a.b/c:1", DIGEST, basis())).toBeDefined();
  chmodSync(place, 0o755);
  expect(verdicts.read("a.b/c:1", DIGEST, basis())).toBeUndefined();
  expect(() => verdicts.write(VERDICT, basis())).toThrow(/its verdicts are not used/);
});

describeWith([root], "files that only root can change", {}, () => {
  test("a verdict holds as long as its files, its program and its folder are as they were", () => {
    const [settings, policy] = [join(folder, "trust.toml"), join(folder, "policy.json")];
    writeFileSync(settings, "settings");
    writeFileSync(policy, "policy");
    const files = [settings, policy].map((name) => ({ name, bytes: readFileSync(name) }));
    expect(verdicts.holds(DIGEST, settings)).toBe(false);
    verdicts.write(VERDICT, { ...basis(), files });
    const holds = () => verdicts.holds(DIGEST, settings);
    expect(holds()).toBe(true);
    expect(verdicts.holds(`sha256:${"b".repeat(64)}`, settings)).toBe(false);
    // Reading would begin with another file, whose meaning is not known.
    expect(verdicts.holds(DIGEST, policy)).toBe(false);
    for (const path of [settings, policy]) {
      const text = readFileSync(path);
      writeFileSync(path, "other");
      expect(holds()).toBe(false);
      rmSync(path);
      expect(holds()).toBe(false);
      writeFileSync(path, text);
      expect(holds()).toBe(true);
      chmodSync(path, 0o666);
      expect(holds()).toBe(false);
      chmodSync(path, 0o644);
    }
    chmodSync(place, 0o755);
    expect(holds()).toBe(false);
    chmodSync(place, 0o700);
    // Whoever owns the folder with the link decides which verdicts count.
    const home = join(folder, "home");
    mkdirSync(home);
    symlinkSync(place, join(home, "verdicts"));
    const linked = new Verdicts(join(home, "verdicts"), 1000, () => now);
    expect(linked.holds(DIGEST, settings)).toBe(true);
    chownSync(home, 1234, 0);
    expect(linked.holds(DIGEST, settings)).toBe(false);
    now += 1000;
    expect(holds()).toBe(false);
  });

  test("a verdict holds with a file of 4 MiB, and with no larger one", () => {
    const name = join(folder, "large");
    for (const [size, holds] of [
      [4_194_304, true],
      [4_194_305, false],
    ] as const) {
      const bytes = Buffer.alloc(size);
      writeFileSync(name, bytes);
      verdicts.write(VERDICT, { ...basis(), files: [{ name, bytes }] });
      expect(verdicts.holds(DIGEST, name)).toBe(holds);
    }
  });

  test("another program's verdict does not hold without the policy", () => {
    const policy = join(folder, "policy.json");
    writeFileSync(policy, "policy");
    verdicts.write(VERDICT, { ...basis(), files: [{ name: policy, bytes: readFileSync(policy) }] });
    expect(verdicts.holds(DIGEST, policy)).toBe(true);
    const [file = ""] = readdirSync(place);
    const text = JSON.parse(readFileSync(join(place, file), "utf8"));
    writeFileSync(join(place, file), JSON.stringify({ ...text, program: "another" }));
    expect(verdicts.holds(DIGEST, policy)).toBe(false);
    expect(verdicts.read("a.b/c:1", DIGEST, basis())).toBeDefined();
  });
});

test("a verdict of too many files is kept, but holds only by the policy", () => {
  const files = Array.from({ length: 500 }, (_, i) => {
    const name = join(folder, `key ${i}`);
    writeFileSync(name, "key");
    return { name, bytes: Buffer.from("key") };
  });
  verdicts.write(VERDICT, { ...basis(), files });
  expect(verdicts.holds(DIGEST, join(folder, "key 0"))).toBe(false);
  expect(verdicts.read("a.b/c:1", DIGEST, basis())).toBeDefined();
});

test("what a tree comes to without signatures", () => {
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
