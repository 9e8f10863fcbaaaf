import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import manifest from "../../package.json" with { type: "json" };
import { PROJECT } from "../support/peers.ts";

const DOCUMENTS = ["", "docs/", "test/vectors/"].flatMap((folder) =>
  readdirSync(join(PROJECT, folder))
    .filter((name) => name.endsWith(".md"))
    .map((name) => folder + name),
);

test.each(DOCUMENTS)("%s: every link points to a file, and every path in it exists", (document) => {
  const text = readFileSync(join(PROJECT, document), "utf8");
  const links = [...text.matchAll(/\]\((?!https?:|#)([^)#]+)/g)].map(([, path = ""]) =>
    join(dirname(document), path),
  );
  const paths = [...text.matchAll(/`((?:src|scripts|test|deploy|docs)\/[\w./-]+)`/g)].map(
    ([, path = ""]) => path,
  );
  const folders = ["", "src/"]; // ARCHITECTURE.md leaves out src/.
  const rooms = [...text.matchAll(/`([a-z]+\/[\w/-]+\.ts)`/g)].map(([, path = ""]) => path);
  const missing = [...links, ...paths, ...rooms].filter(
    // NAME is a placeholder.
    (path) => !path.includes("NAME") && !folders.some((folder) => existsSync(join(PROJECT, folder, path))),
  );
  expect(missing).toEqual([]);
});

/** GitHub's anchors of a document's headings. */
function anchors(path: string): string[] {
  return [...readFileSync(path, "utf8").matchAll(/^#+ (.+)$/gm)].map(([, heading = ""]) =>
    heading
      .toLowerCase()
      .replace(/[^\w -]/g, "")
      .replaceAll(" ", "-"),
  );
}

test.each(DOCUMENTS)("%s: every link to a heading points to one", (document) => {
  const here = join(PROJECT, document);
  const links = [...readFileSync(here, "utf8").matchAll(/\]\((?!https?:)([^)#]*)#([^)]+)\)/g)];
  const broken = links.filter(
    ([, path = "", anchor = ""]) => !anchors(path === "" ? here : join(dirname(here), path)).includes(anchor),
  );
  expect(broken.map(([link]) => link)).toEqual([]);
});

test.each(DOCUMENTS)("%s: every npm script in it exists", (document) => {
  const text = readFileSync(join(PROJECT, document), "utf8");
  const scripts = [...text.matchAll(/npm run ([\w:]+)/g)].map(([, name = ""]) => name);
  expect(scripts.filter((name) => !Object.hasOwn(manifest.scripts, name))).toEqual([]);
});

test("the README explains every dependency", () => {
  const readme = readFileSync(join(PROJECT, "README.md"), "utf8");
  const explained = /^\| package \| why \|[\s\S]*?\n\n/m.exec(readme)?.[0] ?? "";
  const missing = Object.keys(manifest.dependencies).filter(
    (name) => !new RegExp(`[ ]${name}[ ,]`).test(explained),
  );
  expect(missing).toEqual([]);
});
