import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { copyImage, tar, writeImage } from "../support/images.ts";
import { busybox, skopeo } from "../support/peers.ts";
import { Cluster, writeOwn, writeShadow } from "./cluster.ts";
import { type CriContainer, type CriPod, RuntimeService } from "./cri.ts";
import { setKey } from "./images.ts";
import { REGISTRY } from "./node.ts";
import { systemctl } from "./service.ts";
import { byCri, describeNode, release } from "./suite.ts";

const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const PAUSE = `${REGISTRY}/pause:1`;
const A_IMAGE = `${REGISTRY}/tenant-a/app:v1`;
const SHADOW = `${REGISTRY}/tenant-b/shadow:v1`;
const OWN = `${REGISTRY}/tenant-b/own:v1`;
const DENIED = /Pod tenant-b\/app has no key for layer sha256:[0-9a-f]{64}/;
const hasImageVolumes = release.version.startsWith("2.");

const START = {
  processors: "none",
  sandboxImage: PAUSE,
  // A careless operator: every annotation of a Pod reaches its bundle.
  podAnnotations: ["*"],
} as const;

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

describeNode("with Pods of two tenants, after `install --tenants`", START, (suite) => {
  let cluster: Cluster;
  let runtime: RuntimeService;
  let pods = 0;
  beforeAll(async () => {
    const { node } = suite;
    cluster = await Cluster.start(suite);
    await node.execute("busybox", ["sh", "-c", COMPLETE_NODE]);
    for (const folder of ["/var/lib", "/etc/containerd", "/var/log"]) {
      await node.execute("busybox", ["mkdir", "-p", folder]);
      await node.execute("busybox", ["mount", "-t", "tmpfs", "tmpfs", folder]);
    }
    mkdirSync(join(node.folder, "bin"));
    writeFileSync(join(node.folder, "bin/systemctl"), systemctl(node.folder), { mode: 0o755 });
    const program = ["--program", join(node.folder, "bin/ctd-decoder")];
    const kubeconfig = ["--kubeconfig", join(node.folder, "kube/kubelet.conf")];
    const args = ["install", "--tenants", "--restart", ...program, ...kubeconfig];
    const { exit, stdout, stderr } = await node.execute(
      join(node.folder, "ctd-decoder"),
      args,
      `${node.folder}/bin:${PATH}`,
    );
    expect(exit, stdout.toString() + stderr).toBe(0);
    await node.answers();
    const pause = await tar({ "bin/busybox": readFileSync(busybox.command) });
    writeImage(suite.layout, "pause", [{ tar: pause, compression: "gzip" }], {
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
      await copyImage(node.inside(skopeo), `oci:${suite.layout}:${tag}`, `docker://${reference}`);
    runtime = new RuntimeService(join(node.folder, "containerd.sock"));
  });
  afterAll(() => {
    runtime.close();
    cluster.stop();
  });
  beforeEach(async () => {
    setKey(suite.node);
    cluster.reset();
    await suite.node.execute("busybox", [
      "sh",
      "-c",
      "rm -rf /var/lib/ctd-decoder/sealed/* /run/ctd-decoder",
    ]);
    expect(await byCri(suite.node, A_IMAGE)).toBeNull();
  });

  /** @returns what the container prints, or the error that the kubelet sees */
  const run = async (namespace: string, container: CriContainer, pod: Partial<CriPod> = {}) => {
    const logs = join(suite.node.folder, `logs-${pods++}`);
    mkdirSync(logs);
    expect(await byCri(suite.node, container.image)).toBeNull();
    const identity = { namespace, name: "app", uid: `${namespace}-app`, logs };
    return await runtime
      .run({ ...identity, ...pod }, container)
      .catch((error: Error) => `failed: ${error.message}`);
  };

  test("its owner's Pod runs the image", async () => {
    // The CRI adds files of its own to /etc.
    expect(await run("tenant-a", { image: A_IMAGE })).toContain(suite.listing);
  });

  describe("another tenant's Pod", () => {
    test.each([
      ["the image by its name", A_IMAGE],
      ["an image of junk that names its chain", SHADOW],
    ])("does not run %s", async (_what, image) => {
      const outcome = await run("tenant-b", { image });
      expect(outcome).toMatch(DENIED);
      expect(outcome).not.toContain(suite.listing);
    });

    test("runs its own image", async () => {
      expect(await run("tenant-b", { image: OWN })).toBe("");
    });

    test("can't pass for its owner's by annotations", async () => {
      const cri = "io.kubernetes.cri.sandbox";
      const annotations = {
        [`${cri}-namespace`]: "tenant-a",
        [`${cri}-name`]: "app",
        [`${cri}-uid`]: "tenant-a-app",
      };
      expect(await run("tenant-b", { image: SHADOW, annotations }, { annotations })).toMatch(DENIED);
    });

    test("is refused with a name that no Pod can have", async () => {
      for (const name of ["app\0", "../tenant-a/app", "App"]) {
        const outcome = await run("tenant-b", { image: SHADOW }, { name });
        expect(outcome).toMatch(/^failed: /);
        expect(outcome).not.toContain(suite.listing);
      }
    });
  });

  const testVolumes = () => {
    const read = {
      image: OWN,
      args: ["/bin/busybox", "ls", "/volume/data"],
      volumes: { "/volume": A_IMAGE },
    };

    test("of its owner's Pod shows the image", async () => {
      const own = { ...read, image: A_IMAGE };
      expect(await run("tenant-a", own)).toBe("gzip\nnone\nzstd\n");
    });

    test("of another tenant's Pod is refused", async () => {
      for (const image of [A_IMAGE, SHADOW]) {
        expect(await byCri(suite.node, image)).toBeNull();
        expect(await run("tenant-b", { ...read, volumes: { "/volume": image } })).toMatch(DENIED);
      }
    });
  };
  // Releases before 2.1 have none. A skipped test would read as one that could be run.
  if (hasImageVolumes) describe("an image volume", testVolumes);
});
