import {
  chmodSync,
  chownSync,
  lchownSync,
  mkdirSync,
  readFileSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { beforeEach, expect, test } from "vitest";
import type { DecoderError } from "../../../src/errors.ts";
import { checkWriters, readOwned } from "../../../src/trust/owned-files.ts";
import { describeWith, root } from "../../support/peers.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const SOMEBODY = 1234;

describeWith([root], "files that only root can change", {}, () => {
  const folder = temporaryFolder();
  let number = 0;
  /** A folder of root's with a file in it. */
  let place: string;

  beforeEach(() => {
    place = join(folder, String(number++));
    mkdirSync(join(place, "real"), { recursive: true });
    writeFileSync(join(place, "real/file"), "");
  });

  const failure = (path: string) => {
    try {
      checkWriters(join(place, path));
      return undefined;
    } catch (error) {
      return error as DecoderError;
    }
  };
  const problem = (path: string) => failure(path)?.message.replaceAll(place, "");
  const hint = (path: string) => failure(path)?.hint?.replaceAll(place, "");

  test("root's own files, and links of root's among them", () => {
    symlinkSync("real", join(place, "folder"));
    symlinkSync("../folder/file", join(place, "real/link"));
    symlinkSync(join(place, "folder/../real/link"), join(place, "absolute"));
    for (const path of ["real/file", "folder/file", "folder/link", "absolute"])
      expect(problem(path)).toBeUndefined();
  });

  test.each(["file", "folder", "folder above"])("a %s of somebody else's", (what) => {
    const path = { file: "real/file", folder: "real", "folder above": "" }[what] ?? "";
    chownSync(join(place, path), SOMEBODY, 0);
    expect(problem("real/file")).toMatch(/does not belong to root$/);
    chownSync(join(place, path), 0, 0);
    chmodSync(join(place, path), 0o775);
    expect(problem("real/file")).toMatch(/others than root may write to/);
  });

  test("the hint has the command that mends it", () => {
    symlinkSync("real/file", join(place, "link"));
    chmodSync(join(place, "real"), 0o777);
    expect(hint("link")).toBe("run `chmod go-w /real`");
    chownSync(join(place, "real"), SOMEBODY, 0);
    expect(hint("link")).toBe("run `chown root /real`");
    lchownSync(join(place, "link"), SOMEBODY, 0);
    expect(hint("link")).toBe("run `chown -h root /link`");
    expect(hint("none")).toBeUndefined();
  });

  test("another owner may be allowed, besides root", () => {
    const check = (owner?: number) => () => checkWriters(join(place, "real/file"), owner);
    check(SOMEBODY)();
    chownSync(join(place, "real/file"), SOMEBODY, 0);
    check(SOMEBODY)();
    expect(check()).toThrow(/does not belong to root$/);
    expect(check(SOMEBODY + 1)).toThrow(/does not belong to root$/);
  });

  test("a sticky folder keeps root's files, and a sticky file keeps nothing", () => {
    chmodSync(join(place, "real"), 0o1777);
    expect(problem("real/file")).toBeUndefined();
    chmodSync(join(place, "real/file"), 0o1666);
    expect(problem("real/file")).toBe("can't use /real/file: others than root may write to /real/file");
  });

  test("a link through a folder of somebody else's, who can put another link there", () => {
    mkdirSync(join(place, "home"));
    symlinkSync(join(place, "real/file"), join(place, "home/hop"));
    symlinkSync("home/hop", join(place, "link"));
    expect(problem("link")).toBeUndefined();
    chownSync(join(place, "home"), SOMEBODY, 0);
    expect(problem("link")).toBe("can't use /link: /home does not belong to root");
    chownSync(join(place, "home"), 0, 0);
    lchownSync(join(place, "home/hop"), SOMEBODY, 0);
    expect(problem("link")).toBe("can't use /link: /home/hop does not belong to root");
  });

  test("a folder that is a link into a folder of somebody else's", () => {
    mkdirSync(join(place, "home/keys"), { recursive: true });
    writeFileSync(join(place, "home/keys/file"), "");
    symlinkSync("home/keys", join(place, "keys"));
    expect(problem("keys/file")).toBeUndefined();
    chownSync(join(place, "home"), SOMEBODY, 0);
    expect(problem("keys/file")).toBe("can't use /keys/file: /home does not belong to root");
  });

  test("1 MiB of a file is read, and no larger one", () => {
    const read = (size: number) => {
      truncateSync(join(place, "real/file"), size);
      return readOwned(join(place, "real/file")).length;
    };
    expect(read(1_048_576)).toBe(1_048_576);
    expect(() => read(1_048_577)).toThrow(expect.objectContaining({ code: "CONFIG" }));
  });

  test("40 links are followed, as Linux does, and no more", () => {
    symlinkSync("real/file", join(place, "1"));
    for (let i = 2; i <= 41; i++) symlinkSync(String(i - 1), join(place, String(i)));
    expect(problem("40")).toBeUndefined();
    expect(readFileSync(join(place, "40"), "utf8")).toBe("");
    expect(problem("41")).toBe("can't use /41: too many symbolic links");
    expect(() => readFileSync(join(place, "41"))).toThrow("ELOOP");
  });

  test("a path that leads nowhere, and one that never ends", () => {
    symlinkSync("circle", join(place, "circle"));
    expect(problem("missing")).toMatch(/^can't use \/missing: /);
    expect(problem("circle")).toBe("can't use /circle: too many symbolic links");
  });
});
