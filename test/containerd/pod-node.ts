import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { copyImage, tar, writeImage } from "../support/images.ts";
import { busybox, skopeo } from "../support/peers.ts";
import { writeOwn, writeShadow } from "./cluster.ts";
import { type CriContainer, type CriPod, RuntimeService } from "./cri.ts";
import { REGISTRY } from "./node.ts";
import { byCri, type NodeSuite } from "./suite.ts";

/** Image of sandboxes. */
export const PAUSE = `${REGISTRY}/pause:1`;
/** tenant-a's encrypted image. */
export const A_IMAGE = `${REGISTRY}/tenant-a/app:v1`;
/** tenant-b's image of junk whose configuration names the layers of tenant-a's. */
export const SHADOW = `${REGISTRY}/tenant-b/shadow:v1`;
/** tenant-b's plain image. */
export const OWN = `${REGISTRY}/tenant-b/own:v1`;

/** Unpacked packages have no shell, and no /etc that a Pod's sandbox could copy. */
const COMPLETE_NODE = `
[ -e /etc/hosts ] || { busybox mount -t tmpfs tmpfs /etc; busybox touch /etc/hosts /etc/resolv.conf; }
[ -e /bin/sh ] && exit
busybox mkdir /tmp/bin
busybox mount --bind /usr/bin /tmp/bin
/tmp/bin/busybox mount -t tmpfs tmpfs /usr/bin
for it in /tmp/bin/*; do /tmp/bin/busybox ln -s "$it" /usr/bin/; done
/tmp/bin/busybox ln -s busybox /usr/bin/sh
`;

/** Runs Pods of two tenants on a node, as a kubelet would. */
export class PodNode {
  readonly #suite: NodeSuite;
  readonly #runtime: RuntimeService;
  #pods = 0;

  /** Completes the node, and pushes the images. */
  static async prepare(suite: NodeSuite): Promise<PodNode> {
    const { node, layout } = suite;
    await node.execute("busybox", ["sh", "-c", COMPLETE_NODE]);
    for (const folder of ["/var/lib", "/etc/containerd", "/var/log"]) {
      await node.execute("busybox", ["mkdir", "-p", folder]);
      await node.execute("busybox", ["mount", "-t", "tmpfs", "tmpfs", folder]);
    }
    const pause = await tar({ "bin/busybox": readFileSync(busybox.command) });
    writeImage(layout, "pause", [{ tar: pause, compression: "gzip" }], {
      Entrypoint: ["/bin/busybox", "sleep", "86400"],
    });
    await suite.encrypt(skopeo, "plain", "for-a");
    await writeShadow(suite, "shadow");
    await writeOwn(suite, "own");
    for (const [tag, reference] of [
      ["pause", PAUSE],
      ["for-a", A_IMAGE],
      ["shadow", SHADOW],
      ["own", OWN],
    ] as const)
      await copyImage(node.inside(skopeo), `oci:${layout}:${tag}`, `docker://${reference}`);
    return new PodNode(suite);
  }

  private constructor(suite: NodeSuite) {
    this.#suite = suite;
    this.#runtime = new RuntimeService(join(suite.node.folder, "containerd.sock"));
  }

  /** Pulls an image and runs it in a Pod. @returns what the container prints, or the error that the kubelet sees */
  async run(namespace: string, container: CriContainer, pod: Partial<CriPod> = {}): Promise<string> {
    const logs = join(this.#suite.node.folder, `logs-${this.#pods++}`);
    mkdirSync(logs);
    expect(await byCri(this.#suite.node, container.image)).toBeNull();
    const identity = { namespace, name: "app", uid: `${namespace}-app`, logs };
    return await this.#runtime
      .run({ ...identity, ...pod }, container)
      .catch((error: Error) => `failed: ${error.message}`);
  }

  close(): void {
    this.#runtime.close();
  }
}
