import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { pathToFileURL } from "node:url";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import {
  findInLookaside,
  readRegistriesD,
  readUsersRegistriesD,
} from "../../../../src/trust/find/lookaside.ts";
import { parseImageName } from "../../../../src/trust/policy/image-name.ts";
import { temporaryFolder } from "../../../support/temporary.ts";

const NAME = { registry: "a.test", path: "b/c", tag: "1", digest: undefined };
const DIGEST = `sha256:${"ab".repeat(32)}`;

/** A registries.d folder with these files. */
function folderOf(files: Readonly<Record<string, string>>): string {
  const folder = temporaryFolder();
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  return folder;
}

const read = (files: Readonly<Record<string, string>>) => readRegistriesD(folderOf(files));
const named = (text: string) => parseImageName(text) ?? NAME;

describe("registries.d", () => {
  test("the most specific namespace decides, and default-docker last", async () => {
    const { lookaside } = await read({
      "a.yaml":
        "default-docker:\n  lookaside: file:///default\ndocker:\n  a.test:\n    lookaside: file:///host\n",
      "b.yaml": "docker:\n  a.test/b:\n    sigstore: file:///old\n  a.test/d:\n    lookaside: ''\n",
      "c.yml": "docker:\n  a.test/b/c:\n    lookaside: file:///not-read\n",
    });
    expect(lookaside(named("a.test/b/c:1"))).toBe("file:///old");
    expect(lookaside(named("a.test/d/c:1"))).toBe("file:///host");
    expect(lookaside(named("other.test/c:1"))).toBe("file:///default");
  });

  test("lookaside comes before its old name", async () => {
    const { lookaside } = await read({
      "a.yaml": "docker:\n  a.test:\n    sigstore: file:///old\n    lookaside: file:///new\n",
    });
    expect(lookaside(NAME)).toBe("file:///new");
  });

  test("attachments are used, not used, or not decided", async () => {
    const { lookaside, useSigstoreAttachments } = await read({
      "a.yaml":
        "docker:\n  a.test:\n    use-sigstore-attachments: true\n  b.test:\n    use-sigstore-attachments: false\n",
    });
    const all = ["a.test/c:1", "b.test/c:1", "c.test/c:1"].map((it) => useSigstoreAttachments(named(it)));
    expect(all).toEqual([true, false, undefined]);
    expect(lookaside(NAME)).toBeUndefined();
  });

  test("nothing is said by a folder that does not exist, or by files without content", async () => {
    for (const registries of [
      await readRegistriesD(join(temporaryFolder(), "none")),
      await read({}),
      await read({ "a.yaml": "", "b.yaml": "# a comment\n\n  # another", "c.yaml": "docker: {}\n" }),
    ])
      expect([registries.lookaside(NAME), registries.useSigstoreAttachments(NAME)]).toEqual([
        undefined,
        undefined,
      ]);
  });

  test.each([
    [
      "a namespace that is given twice",
      { "a.yaml": "docker: {a.test: {}}", "b.yaml": "docker: {a.test: {}}" },
      /b\.yaml: a\.test is given twice/,
    ],
    [
      "a default that is given twice",
      { "a.yaml": "default-docker: {}", "b.yaml": "default-docker: {}" },
      /b\.yaml: default-docker is given twice/,
    ],
    ["a list", { "a.yaml": "- docker" }, /a\.yaml: it is not a mapping/],
    ["a list of namespaces", { "a.yaml": "docker: [a.test]" }, /a\.yaml: docker is not a mapping/],
    ["a namespace that is a text", { "a.yaml": "docker: {a.test: x}" }, /a\.yaml: a\.test is not a mapping/],
    ["what is not YAML", { "a.yaml": "docker: [" }, /a\.yaml: it is .*/],
    ["what is not YAML after a comment", { "a.yaml": "# a comment\n[" }, /a\.yaml: it is .*/],
    ["what is not YAML before a comment", { "a.yaml": "[\n# a comment" }, /a\.yaml: it is .*/],
  ])("%s is refused", async (_what, files, message) => {
    await expect(read(files)).rejects.toMatchObject({
      code: "CONFIG",
      message: expect.stringMatching(message),
    });
  });

  test("a file in the folder's place is refused", async () => {
    const path = join(folderOf({ file: "" }), "file");
    await expect(readRegistriesD(path)).rejects.toMatchObject({ code: "CONFIG" });
  });
});

describe("a user's registries.d", () => {
  const home = temporaryFolder();
  const own = join(home, ".config/containers/registries.d");
  const said = (lookaside: string) => `default-docker:\n  lookaside: ${lookaside}\n`;
  const lookasideOf = async (folder?: string) =>
    (await readUsersRegistriesD(folder, { HOME: home })).lookaside(named("a.test/b"));

  test("replaces the system's, and a folder that is named replaces both", async () => {
    const folder = folderOf({ "a.yaml": said("/named") });
    expect(await lookasideOf()).not.toBe("/own");
    mkdirSync(own, { recursive: true });
    expect(await lookasideOf()).toBeUndefined();
    writeFileSync(join(own, "a.yaml"), said("/own"));
    expect(await lookasideOf()).toBe("/own");
    expect(await lookasideOf(folder)).toBe("/named");
  });

  test.each([
    [0, "/var/lib/containers/sigstore"],
    [1234, join(home, ".local/share/containers/sigstore")],
  ])("user %i has a default of their own", async (user, place) => {
    vi.spyOn(process, "getuid").mockReturnValue(user);
    onTestFinished(() => void vi.restoreAllMocks());
    expect(await readUsersRegistriesD(own, { HOME: home })).toMatchObject({ defaultLookaside: place });
    expect(await readRegistriesD(own)).toMatchObject({ defaultLookaside: "/var/lib/containers/sigstore" });
  });
});

describe("a lookaside", () => {
  /** As registries.d names it; undefined: not at all. */
  const at = (lookaside: string | undefined, defaultLookaside = "/var/lib/containers/sigstore") => ({
    lookaside: () => lookaside,
    defaultLookaside,
  });

  function place(...contents: readonly string[]): string {
    const root = temporaryFolder();
    const inner = join(root, `b/c@${DIGEST.replace(":", "=")}`);
    mkdirSync(inner, { recursive: true });
    for (const [i, text] of contents.entries())
      if (text) writeFileSync(join(inner, `signature-${i + 1}`), text);
    return root;
  }

  const textsIn = async (lookaside: string) => {
    const { found, failures } = await findInLookaside(at(lookaside), NAME, DIGEST);
    expect(failures).toEqual([]);
    return found.map((it) => it.form === "gpg" && Buffer.from(it.message).toString());
  };

  test("is read until a number is missing, by its path or its URL", async () => {
    const root = place("one", "two", "", "four");
    expect(await textsIn(root)).toEqual(["one", "two"]);
    expect(await textsIn(pathToFileURL(root).href)).toEqual(["one", "two"]);
    expect(await textsIn(place())).toEqual([]);
  });

  test("is the folder of containers/image if no file names one", async () => {
    expect(await findInLookaside(at(undefined), NAME, DIGEST)).toEqual({ found: [], failures: [] });
    const found = await findInLookaside(at(undefined, place("one")), NAME, DIGEST);
    expect(found).toMatchObject({ found: [{ form: "gpg" }], failures: [] });
  });

  test("that this user may not enter is a failure, unless no file names it", async () => {
    const root = place("one");
    chmodSync(root, 0);
    const user = process.geteuid?.() ?? 0;
    process.seteuid?.(user === 0 ? 1234 : user);
    onTestFinished(() => {
      process.seteuid?.(user);
      chmodSync(root, 0o700);
    });
    expect(await findInLookaside(at(root), NAME, DIGEST)).toMatchObject({
      found: [],
      failures: [{ code: "IO" }],
    });
    // The path of a name leads from the default folder to this one.
    const path = join(relative("/var/lib/containers/sigstore", root), NAME.path);
    expect(await findInLookaside(at(undefined), { ...NAME, path }, DIGEST)).toEqual({
      found: [],
      failures: [],
    });
  });

  test("of another scheme, or with what can't be read, is a failure", async () => {
    const { found, failures } = await findInLookaside(at("https://a.test/sigstore"), NAME, DIGEST);
    expect(found).toEqual([]);
    expect(failures).toMatchObject([{ code: "CONFIG", hint: expect.stringContaining("file:") }]);
    const root = place();
    mkdirSync(join(root, `b/c@${DIGEST.replace(":", "=")}`, "signature-1"));
    expect(await findInLookaside(at(root), NAME, DIGEST)).toMatchObject({
      found: [],
      failures: [{ code: "IO" }],
    });
  });
});
