import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { Cluster } from "./cluster.ts";
import { setKey } from "./images.ts";
import { A_IMAGE, OWN, PAUSE, PodNode, SHADOW } from "./pod-node.ts";
import { systemctl } from "./service.ts";
import { byCri, describeNode, release } from "./suite.ts";

const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const DENIED = /Pod tenant-b\/app has no key for layer sha256:[0-9a-f]{64}/;
const hasImageVolumes = release.version.startsWith("2.");

const START = {
  processors: "none",
  sandboxImage: PAUSE,
  // A careless operator: every annotation of a Pod reaches its bundle.
  podAnnotations: ["*"],
} as const;

describeNode("with Pods of two tenants, after `install --tenants`", START, (suite) => {
  let cluster: Cluster;
  let pods: PodNode;
  beforeAll(async () => {
    const { node } = suite;
    cluster = await Cluster.start(suite);
    pods = await PodNode.prepare(suite);
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
  });
  afterAll(() => {
    pods.close();
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

  const run = (...args: Parameters<PodNode["run"]>) => pods.run(...args);

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

const BY_NRI = "with Pods of two tenants, and the NRI plugin as their gate";
const NRI_START = {
  processors: "zstd apart",
  localPull: true,
  sandboxImage: PAUSE,
  requiresNri: true,
  args: [
    ...["--tenant-keys", "kubelet", "--kubeconfig", "{folder}/kube/kubelet.conf"],
    ...["--sealed-dir", "{folder}/sealed"],
  ],
} as const;

if (release.hasNriValidators) {
  describeNode(BY_NRI, NRI_START, (suite) => {
    let cluster: Cluster;
    let pods: PodNode;
    let plugin: Promise<unknown>;
    beforeAll(async () => {
      cluster = await Cluster.start(suite);
      pods = await PodNode.prepare(suite);
    });
    afterAll(() => {
      pods.close();
      cluster.stop();
    });
    beforeEach(async () => {
      setKey(suite.node);
      cluster.reset();
      await startPlugin();
      expect(await byCri(suite.node, A_IMAGE)).toBeNull();
    });
    afterEach(stopPlugin);

    /** How often a plugin has connected: containerd calls it from then on. */
    const connections = () => suite.node.log().split("connected and synchronized").length;

    async function startPlugin(): Promise<void> {
      const { node } = suite;
      const before = connections();
      const options = [
        "--socket",
        join(node.folder, "nri.sock"),
        "--settings",
        join(node.folder, "tenants.toml"),
      ];
      // nsenter stops itself when its child is stopped, and would not notice its end.
      const behind = ["sh", "-c", '"$@" & wait', "sh"];
      plugin = node.execute("busybox", [...behind, join(node.folder, "ctd-decoder"), "nri", ...options]);
      const ended = plugin.then((outcome) => Promise.reject(new Error(JSON.stringify(outcome))));
      ended.catch(() => undefined);
      while (connections() === before) await Promise.race([sleep(50), ended]);
    }

    async function stopPlugin(): Promise<void> {
      for (const pid of suite.node.decoders()) process.kill(Number(pid), "SIGKILL");
      await plugin;
    }

    test("its owner's Pod runs the image, and another tenant's does not", async () => {
      expect(await pods.run("tenant-a", { image: A_IMAGE })).toContain(suite.listing);
      for (const image of [A_IMAGE, SHADOW]) expect(await pods.run("tenant-b", { image })).toMatch(DENIED);
      expect(await pods.run("tenant-b", { image: OWN })).toBe("");
    });

    test("an image volume of another tenant's Pod is refused", async () => {
      const read = { image: OWN, args: ["/bin/busybox", "ls", "/volume/data"] };
      expect(await byCri(suite.node, SHADOW)).toBeNull();
      for (const image of [A_IMAGE, SHADOW])
        expect(await pods.run("tenant-b", { ...read, volumes: { "/volume": image } })).toMatch(DENIED);
      const own = { ...read, image: A_IMAGE, volumes: { "/volume": A_IMAGE } };
      expect(await pods.run("tenant-a", own)).toBe("gzip\nnone\nzstd\n");
    });

    test("no container starts while the plugin does not answer, or when it is killed then", async () => {
      for (const pid of suite.node.decoders()) process.kill(Number(pid), "SIGSTOP");
      expect(await pods.run("tenant-b", { image: OWN })).toMatch(/^failed: /);
      await stopPlugin();
      await startPlugin();
      for (const pid of suite.node.decoders()) process.kill(Number(pid), "SIGSTOP");
      const starting = pods.run("tenant-b", { image: OWN });
      await sleep(500);
      await stopPlugin();
      expect(await starting).toMatch(/^failed: /);
    });

    test("no container starts when the plugin was killed, until it runs again", async () => {
      await stopPlugin();
      for (const tenant of ["tenant-a", "tenant-b"])
        expect(await pods.run(tenant, { image: OWN })).toMatch(
          /^failed: .*required plugin "ctd-decoder" not present/,
        );
      await startPlugin();
      expect(await pods.run("tenant-a", { image: A_IMAGE })).toContain(suite.listing);
    });
  });
}
