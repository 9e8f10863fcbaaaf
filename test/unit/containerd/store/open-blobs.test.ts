import { closeSync, openSync, readFileSync, readlinkSync } from "node:fs";
import { dirname } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { inputBlob } from "../../../../src/containerd/store/blobs.ts";
import { openBlobs } from "../../../../src/containerd/store/open-blobs.ts";
import { storeOf } from "../../../../src/containerd/store/place.ts";
import { Input } from "../../../../src/io/input.ts";
import { processField } from "../../../../src/io/process-field.ts";
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

/** Opens these blobs until the test has finished, as if a process had opened them. @returns their descriptors */
function openedBy(pid: number | string, ...digests: readonly string[]): number[] {
  const fds = digests.map((digest) => openSync(store.path(digest), "r"));
  onTestFinished(() => fds.forEach(closeSync));
  fakeFolder(
    `/proc/${pid}/fd`,
    fds.map((fd) => `../../${process.pid}/fd/${fd}`),
  );
  return fds;
}

test("the nearest ancestor with open blobs is asked", () => {
  const digest = store.add("of the grandparent");
  const nameOf = (pid: number | string) =>
    `process ${pid} (${readFileSync(`/proc/${pid}/comm`, "utf8").trim()})`;
  const [parent, grandparent = "1"] = [process.ppid, processField(process.ppid, 4)];
  const none = { blobs: [], problem: undefined };
  expect(openBlobs(0)).toEqual({ ...none, asked: "the process that started the decoder" });
  openedBy(grandparent, digest);
  expect(openBlobs(1)).toEqual({ ...none, asked: nameOf(parent) });
  const { blobs, ...rest } = openBlobs(2);
  expect(rest).toEqual({ asked: nameOf(grandparent), problem: undefined });
  expect(blobs.map((blob) => blob.digest)).toEqual([digest]);
});

test("standard input is found among the parent's blobs, by its digest, its size and its bytes", () => {
  const [digest, other] = [store.add("the layer"), store.add("the lamer")];
  const longer = store.add("the layer, and more");
  const [fd = -1] = openedBy(process.ppid, other, longer, digest).slice(2);
  const input = () => {
    const own = openSync(`/proc/self/fd/${fd}`, "r");
    onTestFinished(() => closeSync(own));
    return new Input(own, "standard input");
  };
  const found = (of: string, size: number) => {
    return inputBlob(input(), of, size)?.size;
  };
  expect(found(digest, 9)).toBe(9);
  expect(found(digest, 8)).toBeUndefined();
  expect(found(other, 9)).toBeUndefined();
  expect(found(longer, 9)).toBeUndefined();
  expect(found(`sha256:${"0".repeat(64)}`, 9)).toBeUndefined();
});

test("a layer's store is the one named, or that of the blob that containerd has open", async () => {
  const other = new ContentStore(temporaryFolder());
  const [digest, elsewhere] = [store.add("the layer"), other.add("another")];
  const fds = [other.path(elsewhere), store.path(digest)].map((path) => openSync(path, "r"));
  onTestFinished(() => fds.forEach(closeSync));
  fakeFolder(
    `/proc/${process.ppid}/fd`,
    fds.map((fd) => `../../${process.pid}/fd/${fd}`),
  );
  expect(await storeOf(digest, undefined)).toBe(store.folder);
  expect(await storeOf(elsewhere, undefined)).toBe(other.folder);
  expect(await storeOf(digest, other.folder)).toBe(other.folder);
  expect(await storeOf(digest, dirname(other.folder))).toBe(other.folder);
  await expect(storeOf(digest, "/nowhere")).rejects.toMatchObject({ code: "CONTENT_STORE" });
  const unread = digest.replace(/.$/, (it) => (it === "0" ? "1" : "0"));
  await expect(storeOf(unread, undefined)).rejects.toMatchObject({
    code: "CONTENT_STORE",
    message: expect.stringContaining(`does not read ${unread} from a content store`),
  });
});
