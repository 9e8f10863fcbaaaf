import { mkdtempSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";
import { documentsNaming } from "../../../../src/containerd/store/documents.ts";
import { ContentStore } from "../../../support/content-store.ts";
import { temporaryFolder } from "../../../support/temporary.ts";

const folder = temporaryFolder();
const LAYER = `sha256:${"a".repeat(64)}`;
const newStore = () => new ContentStore(mkdtempSync(join(folder, "root-")));
const naming = (digest: string, mark: number) => JSON.stringify({ digest, mark });

const digestsIn = (store: ContentStore) =>
  [...documentsNaming(store.folder, LAYER)].map(({ digest }) => digest);

test("documents that name the digest are found, the newest first", () => {
  const store = newStore();
  const [older, newer] = [store.add(naming(LAYER, 1)), store.add(naming(LAYER, 2))];
  store.add(naming(`sha256:${"b".repeat(64)}`, 3));
  store.add(`no JSON, but ${LAYER}`);
  expect(digestsIn(store)).toEqual([newer, older]);
});

test("a document of a pull comes first, and once", () => {
  const store = newStore();
  const [pulled, newer] = [store.add(naming(LAYER, 1)), store.add(naming(LAYER, 2))];
  store.lease(pulled, LAYER);
  expect(digestsIn(store)).toEqual([pulled, newer]);
});

test("a document that was changed on the disk is left out", () => {
  const store = newStore();
  const [changed, kept] = [store.add(naming(LAYER, 1)), store.add(naming(LAYER, 2))];
  writeFileSync(store.path(changed), naming(LAYER, 3));
  expect(digestsIn(store)).toEqual([kept]);
});

test("the search ends after 3 seconds", () => {
  const store = newStore();
  store.add(naming(LAYER, 1));
  const clock = vi.spyOn(performance, "now");
  onTestFinished(() => clock.mockRestore());
  const after = (milliseconds: number) => {
    clock.mockReturnValueOnce(0).mockReturnValue(milliseconds);
    return digestsIn(store);
  };
  expect(after(3000)).toHaveLength(1);
  clock.mockReset();
  expect(after(3001)).toEqual([]);
});
