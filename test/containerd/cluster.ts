import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { manifestOf, tar, writeImage, writeManifest } from "../support/images.ts";
import type { PodOptions, SecretOptions } from "../support/kube-api.ts";
import { type Finished, PROJECT } from "../support/peers.ts";
import { REGISTRY } from "./node.ts";
import type { NodeSuite } from "./suite.ts";

const SECRET_TYPE = "ctd-decoder.dev/image-keys";

/** An image whose configuration names the layers of "plain", and whose own layers are something else. */
export async function writeShadow(suite: NodeSuite, tag: string): Promise<void> {
  const { config, layers } = manifestOf(suite.layout, "plain");
  const junk = await Promise.all(layers.map((_, i) => tar({ [`junk-${tag}-${i}`]: Buffer.from("junk") })));
  writeImage(
    suite.layout,
    `${tag}-layers`,
    junk.map((it) => ({ tar: it, compression: "none" })),
  );
  writeManifest(suite.layout, tag, { config, layers: manifestOf(suite.layout, `${tag}-layers`).layers });
}

/** A plain image with the program of "plain" and a layer of its own. */
export async function writeOwn(suite: NodeSuite, tag: string): Promise<void> {
  const program = readFileSync("/bin/busybox");
  const own = await tar({ "bin/busybox": program, "own-file": Buffer.from(tag) });
  writeImage(suite.layout, tag, [{ tar: own, compression: "gzip" }], {
    Entrypoint: ["/bin/busybox", "true"],
  });
}

interface Objects {
  readonly pods: readonly PodOptions[];
  readonly secrets: readonly SecretOptions[];
  readonly isDown: boolean;
}

/** The API server's double in the node's network, and the gate before the node's runc. */
export class Cluster {
  readonly #suite: NodeSuite;
  readonly #server: ChildProcess;
  #objects: Objects = { pods: [], secrets: [], isDown: false };

  static async start(suite: NodeSuite): Promise<Cluster> {
    const { folder } = suite.node;
    for (const name of ["kube", "sealed"]) mkdirSync(join(folder, name));
    const { command, args } = suite.node.inside({ name: "node", command: process.execPath, args: [] });
    const script = join(PROJECT, "test/support/kube-api-server.ts");
    const server = spawn(command, [...args, script, join(folder, "kube")], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    await once(server.stdout, "data");
    return new Cluster(suite, server);
  }

  private constructor(suite: NodeSuite, server: ChildProcess) {
    this.#suite = suite;
    this.#server = server;
  }

  get secrets(): readonly SecretOptions[] {
    return this.#objects.secrets;
  }

  /** Each tenant has a Pod and a key: tenant-a's opens the image, tenant-b's does not. No verdict is kept. */
  reset(): void {
    const { folder } = this.#suite.node;
    for (const name of ["sealed", "verdicts"]) rmSync(join(folder, name), { recursive: true, force: true });
    mkdirSync(join(folder, "sealed"));
    const keys = { "tenant-a": this.#suite.rightKey, "tenant-b": this.#suite.wrongKey };
    const pods: PodOptions[] = Object.keys(keys).flatMap((namespace) =>
      ["app", "another"].map((name) => ({
        namespace,
        name,
        uid: `${namespace}-${name}`,
        images: [`${REGISTRY}/${namespace}/app:v1`, `${REGISTRY}/${namespace}/forged:v1`],
        secrets: ["key"],
      })),
    );
    const secrets = Object.entries(keys).map(([namespace, key]) => ({
      namespace,
      name: "key",
      type: SECRET_TYPE,
      data: { "key.pem": readFileSync(key.privatePath("pkcs8.pem"), "latin1") },
    }));
    this.set({ pods, secrets, isDown: false });
    this.takeRequests();
    this.#writeGate();
  }

  set(changes: Partial<Objects>): void {
    this.#objects = { ...this.#objects, ...changes };
    writeFileSync(join(this.#suite.node.folder, "kube/objects.json"), JSON.stringify(this.#objects));
  }

  /** Returns the requests to the API server since the last call. */
  takeRequests(): string[] {
    const path = join(this.#suite.node.folder, "kube/requests");
    if (!existsSync(path)) return [];
    const requests = readFileSync(path, "utf8").split("\n").filter(Boolean);
    rmSync(path);
    return requests;
  }

  /** Runs an image as a container of a Pod. The CRI writes the same annotations into the bundle. */
  runAs(namespace: string, reference: string, name = "app"): Promise<Finished> {
    const { folder } = this.#suite.node;
    const cri = "io.kubernetes.cri.sandbox";
    return this.#suite.node.runContainer(
      reference,
      ...["--runc-binary", join(folder, "runc-gate")],
      ...["--annotation", `${cri}-namespace=${namespace}`],
      ...["--annotation", `${cri}-name=${name}`],
      ...["--annotation", `${cri}-uid=${namespace}-${name}`],
    );
  }

  removeGate(): void {
    rmSync(join(this.#suite.node.folder, "gate"));
  }

  stop(): void {
    this.#server.kill();
  }

  /** The project's own entry, with this node's paths in it. */
  #writeGate(): void {
    const { folder } = this.#suite.node;
    const settings = [
      `kubeconfig = "${folder}/kube/kubelet.conf"`,
      `containerd_root = "${folder}/root"`,
      `sealed_dir = "${folder}/sealed"`,
      `verdict_dir = "${folder}/verdicts"`,
      "",
    ];
    writeFileSync(join(folder, "tenants.toml"), settings.join("\n"));
    const gate = [
      "#!/bin/busybox sh",
      "shift",
      `exec ${folder}/ctd-decoder runtime-gate --settings=${folder}/tenants.toml "$@"`,
      "",
    ];
    writeFileSync(join(folder, "gate"), gate.join("\n"), { mode: 0o755 });
    const entry = readFileSync(join(PROJECT, "deploy/runc-gate"), "utf8")
      .replace("#!/bin/sh", "#!/bin/busybox sh")
      .replace("/usr/local/bin/ctd-decoder", join(folder, "gate"));
    writeFileSync(join(folder, "runc-gate"), entry, { mode: 0o755 });
  }
}
