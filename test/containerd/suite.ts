import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, expect } from "vitest";
import { copyImage, layersOf } from "../support/images.ts";
import { type KeyFiles, writeKeys } from "../support/keys.ts";
import {
  busybox,
  describeWith,
  ours,
  type Peer,
  registry,
  root,
  skopeo,
  skopeoNew,
} from "../support/peers.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { push, setKey, writeTestImage } from "./images.ts";
import { Node, type Start } from "./node.ts";
import { testedRelease } from "./release.ts";

export const release = testedRelease();

/** How often each refused image is pulled: containerd's race with a failing decoder shows in some of a hundred pulls. */
const REFUSALS = Number(process.env["REFUSALS"] ?? 10);
/** Only a hang takes that long. */
const HANG_MS = 300_000;
const HANG_PER_REFUSAL_MS = 20_000;

/** `describe` for tests that need a node; `title` says how it pulls. */
export function describeNode(title: string, start: Start, body: (suite: NodeSuite) => void): void {
  const needs = [root, busybox, registry, skopeo, skopeoNew, ours, ...release.needs];
  describeWith(
    needs,
    `containerd ${release.version}, ${title}`,
    { timeout: HANG_MS + HANG_PER_REFUSAL_MS * REFUSALS },
    () => body(new NodeSuite(start)),
  );
}

/** Pulls an image. Resolves to what went wrong, or null. */
export type Pull = (node: Node, reference: string) => Promise<string | null>;

export const byCri: Pull = (node, reference) =>
  node.images.pull(reference).then(
    () => null,
    (error: Error) => error.message,
  );

/** Stock ctr passes no payload. */
export const byCtr: Pull = async (node, reference) => {
  const { exit, stderr } = await node.ctr(
    "images",
    "pull",
    "--plain-http",
    "--snapshotter",
    "native",
    reference,
  );
  return exit === 0 ? null : stderr;
};

/** A node, emptied before each test and given the right key; a layout with the tag "plain", which isn't encrypted. */
export class NodeSuite {
  readonly folder = temporaryFolder();
  readonly layout = join(this.folder, "layout");
  #state: { node: Node; rightKey: KeyFiles; wrongKey: KeyFiles; listing: string } | undefined;

  constructor(start: Start) {
    beforeAll(async () => {
      const rightKey = await writeKeys(join(this.folder, "right"), "RSA-2048");
      const wrongKey = await writeKeys(join(this.folder, "wrong"), "RSA-2048");
      const listing = await writeTestImage(this.layout, "plain");
      this.#state = { node: await Node.start(release, start), rightKey, wrongKey, listing };
    });
    beforeEach(async () => {
      await this.node.clear();
      setKey(this.node, this.rightKey.privatePath("pkcs8.pem"));
      this.node.takeCalls();
    });
    afterAll(() => this.#state?.node.stop());
  }

  get #ready() {
    if (!this.#state) throw new Error("the node did not start");
    return this.#state;
  }

  get node(): Node {
    return this.#ready.node;
  }

  get rightKey(): KeyFiles {
    return this.#ready.rightKey;
  }

  get wrongKey(): KeyFiles {
    return this.#ready.wrongKey;
  }

  /** What the image "plain" prints when it runs, and so does whatever is made of it. */
  get listing(): string {
    return this.#ready.listing;
  }

  async encrypt(
    tool: Peer,
    tag: string,
    newTag: string,
    keys: readonly KeyFiles[] = [this.rightKey],
  ): Promise<void> {
    const recipients = keys.map((key) => `jwe:${key.publicPath("spki.pem")}`);
    await copyImage(tool, `oci:${this.layout}:${tag}`, `oci:${this.layout}:${newTag}`, { recipients });
  }

  push(tag: string): Promise<string> {
    return push(this.node, skopeo, this.layout, tag);
  }

  /** Pulls a copy of "plain": the decoder is called once for each layer, and what runs is what was encrypted. */
  async expectPullsAndRuns(tag: string, pull: Pull): Promise<void> {
    const reference = await this.push(tag);
    expect(await pull(this.node, reference)).toBeNull();
    expect(this.node.takeCalls()).toEqual(this.mediaTypes(tag));
    expect(await this.node.runImage(reference)).toBe(this.listing);
  }

  /** Refusals in a row, each with the decoder's own reason. They leave nothing behind. */
  async expectRefused(tag: string, pull: Pull, message: RegExp): Promise<void> {
    const reference = await this.push(tag);
    const errors: (string | null)[] = [];
    for (let attempt = 0; attempt < REFUSALS; attempt++) {
      errors.push(await pull(this.node, reference));
      // Otherwise containerd may remove a snapshot of the last pull while the next one builds on it.
      await this.node.collectGarbage();
    }
    expect(errors.filter((error) => error === null || !message.test(error))).toEqual([]);
    // What keeps standard output open past a failing exit ends by itself.
    while (this.node.decoders().length > 0) await sleep(50);
    expect(await this.node.snapshots()).toEqual([]);
  }

  mediaTypes(tag: string): string[] {
    return layersOf(this.layout, tag).map((layer) => layer.mediaType);
  }
}
