import { describe, expect, test } from "vitest";
import { identityProblem } from "../../../../src/trust/policy/identity.ts";
import { formatImageName, isNamePrefix, parseImageName } from "../../../../src/trust/policy/image-name.ts";
import type { SignedIdentity } from "../../../../src/trust/requirement.ts";

const DIGEST = `sha256:${"a".repeat(64)}`;

describe("names", () => {
  test.each([
    ["busybox", "docker.io/library/busybox"],
    ["busybox:1", "docker.io/library/busybox:1"],
    ["a/b", "docker.io/a/b"],
    ["index.docker.io/busybox:latest", "docker.io/library/busybox:latest"],
    ["localhost/a:latest", "localhost/a:latest"],
    [`reg.example:5000/a/b:1@${DIGEST}`, `reg.example:5000/a/b:1@${DIGEST}`],
  ])("%s is %s", (text, full) => {
    const name = parseImageName(text);
    expect(name && formatImageName(name)).toBe(full);
  });

  test.each(["", "a/B", "a//b", "a/b:", "a@sha256:1", "http://a/b", "../a", "f".repeat(64)])(
    "%j is not one",
    (text) => {
      expect(parseImageName(text)).toBeUndefined();
    },
  );

  test.each([
    ["reg.example", true],
    ["reg.example:5000/a/b", true],
    ["reg.example/a:1", false],
    ["reg.example/", false],
    [`reg.example/a@${DIGEST}`, false],
    ["!reg.test", false],
    ["reg.test:5000x", false],
    ["-reg.test/app", false],
    ["reg..test", false],
  ])("%s as a prefix: %s", (text, is) => expect(isNamePrefix(text)).toBe(is));
});

describe("signedIdentity", () => {
  const rows: [SignedIdentity, string, string, boolean][] = [
    [{ kind: "none" }, "not even a name", "a.b/c:1", true],
    [{ kind: "matchExact" }, "a.b/c:1", "a.b/c:1", true],
    [{ kind: "matchExact" }, "a.b/c:2", "a.b/c:1", false],
    [{ kind: "matchExact" }, "a.b/c", "a.b/c", false],
    [{ kind: "matchExact" }, "a.b/c:1", `a.b/c@${DIGEST}`, false],
    [{ kind: "matchRepoDigestOrExact" }, "a.b/c:1", "a.b/c:1", true],
    [{ kind: "matchRepoDigestOrExact" }, "a.b/c:1", "a.b/c:2", false],
    [{ kind: "matchRepoDigestOrExact" }, "a.b/c:1", `a.b/c@${DIGEST}`, true],
    [{ kind: "matchRepoDigestOrExact" }, "a.b/c", `a.b/c@${DIGEST}`, false],
    [{ kind: "matchRepoDigestOrExact" }, "a.b/d:1", `a.b/c@${DIGEST}`, false],
    [{ kind: "matchRepository" }, "a.b/c", "a.b/c:1", true],
    [{ kind: "matchRepository" }, "a.b/cc", "a.b/c:1", false],
    [{ kind: "matchRepository" }, "busybox", "docker.io/library/busybox:1", true],
    [{ kind: "exactReference", reference: "x.y/z:1" }, "x.y/z:1", "a.b/c:1", true],
    [{ kind: "exactReference", reference: "x.y/z:1" }, "x.y/z:2", "x.y/z:2", false],
    [{ kind: "exactRepository", repository: "x.y/z" }, "x.y/z:9", "a.b/c:1", true],
    [{ kind: "exactRepository", repository: "x.y/z" }, "x.y/zz:9", "a.b/c:1", false],
    [{ kind: "remapIdentity", prefix: "a.b", signedPrefix: "x.y/z" }, "x.y/z/c:1", "a.b/c:1", true],
    [{ kind: "remapIdentity", prefix: "a.b/c", signedPrefix: "x.y/z" }, "x.y/z:1", "a.b/c:1", true],
    [{ kind: "remapIdentity", prefix: "a.b/c", signedPrefix: "x.y/z" }, "x.y/zd:1", "a.b/cd:1", false],
    [{ kind: "remapIdentity", prefix: "n.o", signedPrefix: "x.y/z" }, "a.b/c:1", "a.b/c:1", true],
    [{ kind: "matchRepository" }, "no name!", "a.b/c:1", false],
  ];
  test.each(rows)("%j: signed %s, asked for %s: %s", (rule, signed, asked, isAccepted) => {
    const problem = identityProblem(rule, signed, parseImageName(asked));
    expect(problem === undefined).toBe(isAccepted);
  });

  test("an image without a name satisfies only rules that name the signature", () => {
    expect(identityProblem({ kind: "matchRepository" }, "a.b/c:1", undefined)).toMatch(/has no name/);
    expect(
      identityProblem({ kind: "exactRepository", repository: "a.b/c" }, "a.b/c:1", undefined),
    ).toBeUndefined();
  });
});
