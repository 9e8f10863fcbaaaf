import { closeSync, openSync, readlinkSync } from "node:fs";
import { expect, onTestFinished, test } from "vitest";
import { openBlobs } from "../../../../src/containerd/store/open-blobs.ts";
import { ContentStore } from "../../../support/content-store.ts";
import { fakeFolder } from "../../../support/fake-folder.ts";
import { temporaryFolder } from "../../../support/temporary.ts";

const store = new ContentStore(temporaryFolder());

test("65,536 open files of containerd are examined, and no more", () => {
  const digest = store.add("a blob");
  const fd = openSync(store.path(digest), "r");
  onTestFinished(() => closeSync(fd));
  const examined = (before: number) => {
    // Seen from the parent's folder: this process's standard input, and then the blob.
    const own = `../../${process.pid}/fd`;
    fakeFolder(`/proc/${process.ppid}/fd`, [...Array<string>(before).fill(`${own}/0`), `${own}/${fd}`]);
    return openBlobs(1).blobs.map((blob) => blob.digest);
  };
  expect(readlinkSync(`/proc/${process.ppid}/fd/../../${process.pid}/fd/${fd}`)).toContain(store.folder);
  expect(examined(0)).toEqual([digest]);
  expect(examined(65_535)).toEqual([digest]);
  expect(examined(65_536)).toEqual([]);
});
