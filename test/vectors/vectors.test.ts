import { mkdirSync, mkdtempSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { decode } from "../support/decoder.ts";
import { sha256 } from "../support/images.ts";
import { describeWith, type Finished, ours } from "../support/peers.ts";
import { expectMessage } from "../support/sealed.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { build } from "./build.ts";
import { CASES } from "./cases/all.ts";
import { readVector, type Vector, writeVector } from "./format.ts";
import { KEYS } from "./material.ts";
import { secretTexts } from "./secrets.ts";

const VECTORS = join(import.meta.dirname, "data/vectors");
const AT_ONCE = 4;

interface Outcome extends Finished {
  /** Of the audit log's line; "ok" for an authentic layer. */
  readonly verdict: string;
  readonly audit: string;
}

describeWith([ours], "the vectors", {}, () => {
  const folder = temporaryFolder();
  const names = readdirSync(VECTORS);
  const vectors = new Map(names.map((name) => [name, readVector(readFileSync(join(VECTORS, name)))]));
  const outcomes = new Map<string, Outcome>();

  beforeAll(async () => {
    const queue = [...vectors];
    const work = async () => {
      for (let next = queue.pop(); next !== undefined; next = queue.pop())
        outcomes.set(next[0], await run(next[1], mkdtempSync(join(folder, "v-"))));
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
  });

  test("are as many as there should be", () => expect(names.length).toBeGreaterThanOrEqual(150));

  test("are what their descriptions generate", () => {
    expect(names.sort()).toEqual([...CASES.keys()].sort());
    for (const [name, it] of CASES) {
      const same = writeVector(build(name, it)).equals(readFileSync(join(VECTORS, name)));
      expect(same, `${name}: npm run vectors`).toBe(true);
    }
  });

  test.each([...vectors])("%s", (name, vector) => {
    const outcome = outcomes.get(name);
    if (outcome === undefined) throw new Error("bug: it was not run");
    const { exit, signal, stdout, stderr, verdict } = outcome;
    expect({ verdict, stdout: sha256(stdout), exit, signal }).toEqual({
      verdict: vector.expect,
      stdout: vector.stdout,
      exit: vector.expect === "ok" ? 0 : 1,
      signal: null,
    });
    if (vector.expect === "ok") expect(stderr).toBe("");
    else expectMessage(stderr, /./);
  });

  test("whose secrets are looked for are the ones that open them", () => {
    const vector = vectors.get("payload-ok");
    if (vector?.payload == null) throw new Error("bug: the good vector is gone");
    const annotation = /"org.opencontainers.image.enc.pubopts":"([^"]+)"/.exec(
      vector.payload.toString(),
    )?.[1];
    const { hmac } = JSON.parse(Buffer.from(annotation ?? "", "base64").toString());
    expect(
      new Map(secretTexts("payload-ok", vector).map(([what, text]) => [text, what])).get(
        hmac.replace(/=+$/, ""),
      ),
    ).toBe("the computed MAC");
  });

  test("no message and no line of the audit log holds a key, a password or a MAC", () => {
    for (const [name, vector] of vectors) {
      const { stderr = "", audit = "" } = outcomes.get(name) ?? {};
      const shown = `${stderr}\n${audit}`.toLowerCase();
      for (const [what, text] of secretTexts(name, vector)) {
        if (shown.includes(text.toLowerCase())) expect.fail(`${name} shows ${what}`);
      }
    }
  });
});

async function run(vector: Vector, folder: string): Promise<Outcome> {
  const keys = join(folder, "keys");
  mkdirSync(keys);
  for (const [path, from] of vector.keys) {
    mkdirSync(dirname(join(keys, path)), { recursive: true });
    writeFileSync(join(keys, path), typeof from === "string" ? readFileSync(join(KEYS, from)) : from);
  }
  for (const [path, target] of vector.links) symlinkSync(target, join(keys, path));
  const log = join(folder, "audit.log");
  const finished = await decode(ours, {
    layer: vector.layer,
    ...(vector.payload === null ? {} : { payload: vector.payload }),
    mediaType: vector.mediaType,
    args: ["--decryption-keys-path", keys, "--audit-log", log, ...vector.args],
    env: { TMPDIR: folder },
  });
  const audit = readFileSync(log, "utf8");
  const { verdict } = JSON.parse(audit) as { verdict: string };
  return { ...finished, audit, verdict: verdict === "authentic" ? "ok" : verdict };
}
