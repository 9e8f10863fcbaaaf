import { readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import type { FoundLayer } from "../../../src/containerd/payload.ts";
import { AuditLog } from "../../../src/decoder/audit-log.ts";
import { DecoderError } from "../../../src/errors.ts";
import { OpenedLayer, type Opener } from "../../../src/layer/open.ts";
import { Secret } from "../../../src/secret.ts";
import { encryptLayer, plainBytes } from "../../support/layer.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const folder = temporaryFolder();
let file: string;
let count = 0;

beforeEach(() => {
  file = join(folder, `${count++}.log`);
});

const found = (digest: string, annotations: Readonly<Record<string, string>> = {}): FoundLayer => ({
  descriptor: { mediaType: "a/b", digest, size: 1, annotations },
});
const opened = (by: Partial<Opener> = {}) =>
  new OpenedLayer(encryptLayer(plainBytes(10)).options(), new Secret(new Uint8Array(1)), {
    scheme: "jwe",
    packet: 0,
    ...by,
  });
const start = (more = {}) =>
  new AuditLog({ file, isRequired: true, trustCriAnnotations: false, mode: "verified", ...more });
const lines = () =>
  readFileSync(file, "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));

describe("the verdict", () => {
  test("is the first one: a failure after it adds no line", () => {
    const audit = start();
    audit.authentic(found("sha256:a"), opened(), 10);
    audit.refused(new DecoderError("IO", "the reader went away"), () => undefined);
    expect(lines()).toMatchObject([{ verdict: "authentic", layer: "sha256:a", bytes: 10 }]);
  });

  test("names the descriptor that opened", () => {
    const audit = start();
    audit.authentic(found("sha256:opened"), opened(), 10);
    expect(lines()).toMatchObject([{ layer: "sha256:opened" }]);
  });

  test("of a refusal names the layer, if it is known", () => {
    start().refused(new DecoderError("NO_KEY", "no key here"), () => found("sha256:first"));
    start().refused(new DecoderError("NO_PAYLOAD", "none"), () => undefined);
    expect(lines()).toMatchObject([
      { verdict: "NO_KEY", message: "no key here", layer: "sha256:first" },
      { verdict: "NO_PAYLOAD" },
    ]);
    expect(lines()[1]).not.toHaveProperty("layer");
  });

  test("of a refusal has a message that is cut", () => {
    start().refused(new DecoderError("NO_KEY", `\n${"x".repeat(10_000)}`), () => undefined);
    expect(lines()).toMatchObject([{ verdict: "NO_KEY", message: expect.stringMatching(/^ x{400,512}…$/) }]);
  });

  test("of an internal error does not show its message, which might quote a secret", () => {
    start().refused(new Error("hunter2"), () => undefined);
    expect(lines()).toMatchObject([{ verdict: "INTERNAL" }]);
    expect(readFileSync(file, "utf8")).not.toContain("hunter2");
  });
});

test.each([
  ["containerd.io/snapshot/cri.image-ref", "registry.example/app:1", "reference"],
  ["containerd.io/snapshot/cri.manifest-digest", "sha256:b", "manifest"],
])("of %s alone, the image is noted too", (annotation, value, field) => {
  start().authentic(found("sha256:a", { [annotation]: value }), opened(), 10);
  expect(lines()[0].image).toEqual({ [field]: value, trusted: false });
});

test("foreign text is cut, and can neither forge a line nor turn its order around", () => {
  const evil = `\n{"verdict":"authentic"}\u202e\u009b2J\u2028${"x".repeat(10_000)}`;
  const audit = start();
  const annotations = {
    "containerd.io/snapshot/cri.image-ref": evil,
    "containerd.io/snapshot/cri.manifest-digest": evil,
  };
  audit.authentic(found(evil, annotations), opened({ recipient: evil, key: evil }), 10);
  const text = readFileSync(file, "utf8");
  expect(text.trimEnd()).not.toMatch(/[\p{C}\p{Zl}\p{Zp}]/u);
  expect(text.length).toBeLessThan(5000);
  const [line, ...others] = lines();
  expect(others).toEqual([]);
  for (const shown of [line.layer, line.recipient, line.key, line.image.reference, line.image.manifest])
    expect(shown).toMatch(/^ \{"verdict":"authentic"\} 2J x{400,512}…$/);
});

test("a line that can't be written stops the release only where it is required", () => {
  const missing = { file: join(folder, "missing/audit.log") };
  expect(() => start(missing).authentic(found("sha256:a"), opened(), 1)).toThrow(
    expect.objectContaining({ code: "AUDIT" }),
  );
  start({ ...missing, isRequired: false }).authentic(found("sha256:a"), opened(), 1);
  start(missing).refused(new DecoderError("NO_KEY", "no key here"), () => undefined);
});
