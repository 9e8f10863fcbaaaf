/** Rows of what tenants cost: keys from Secrets and seal records for each layer, and the gate for each container. */
import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { boltDatabase } from "../../test/support/bolt.ts";
import { PROJECT } from "../../test/support/peers.ts";
import type { LayerFiles } from "./inputs.ts";
import { type CommandLine, timeOf, timeOnFiles } from "./programs.ts";
import type { Row } from "./row.ts";
import { KiB } from "./units.ts";
import type { Workspace } from "./workspace.ts";

const POD = { namespace: "tenant-a", name: "app", uid: "uid-a" };
const REPOSITORY = "tenant-a/app";
const PLAIN = `sha256:${"b".repeat(64)}`;

export const TENANTS: readonly Row[] = [
  {
    id: "tenants",
    unit: "ms",
    rounds: 30,
    option: "tenants",
    lines: [
      { title: "limit: an empty Bun executable", of: "empty" },
      { title: "4 KiB layer, a key of the node", of: "node" },
      { title: "4 KiB layer, a key of the node and a seal record", of: "sealed" },
      { title: "4 KiB layer, a key from a Secret and a seal record", of: "tenant" },
      { title: "container, nothing sealed", of: "nothing" },
      { title: "container, allowed before", of: "kept" },
      { title: "container, first of its Pod", of: "asked" },
      { title: "limit: /bin/true", of: "true" },
      { title: "any other call of the runtime, /bin/true through the entry", of: "entry" },
    ],
    prepare,
  },
];

async function prepare(workspace: Workspace): ReturnType<Row["prepare"]> {
  const folder = workspace.newFolder("tenants");
  const layer = await workspace.layer(4 * KiB);
  const { folder: keys } = await workspace.keys();
  const server = await startApi(folder, join(keys, "000.pem"));
  writeStore(layer);
  const { tenant, sealed, gate, entry } = commands(workspace, folder, layer, keys);
  const verdicts = join(folder, "verdicts");
  const asked = () => {
    rmSync(verdicts, { recursive: true, force: true });
    return timeOf(gate("sealed"), folder);
  };
  const empty = workspace.emptyExecutable();
  const { ours } = await workspace.decoders();
  return {
    contestants: {
      empty: () => timeOf(empty, folder),
      node: () => timeOnFiles(ours, layer, folder),
      sealed: () => timeOnFiles(sealed, layer, folder),
      tenant: () => timeOnFiles(tenant, layer, folder),
      nothing: () => timeOf(gate("plain"), folder),
      asked,
      // The previous Pod has kept its verdict.
      kept: () => timeOf(gate("sealed"), folder),
      true: () => timeOf(["/bin/true"], folder),
      entry: () => timeOf(entry, folder),
    },
    async end() {
      server.kill();
      await once(server, "exit");
    },
  };
}

function commands({ ours }: Workspace, folder: string, layer: LayerFiles, keys: string) {
  const [kubeconfig, store] = [join(folder, "kubelet.conf"), dirname(dirname(dirname(layer.path)))];
  const seals = ["--sealed-dir", join(folder, "sealed"), "--content-store", store];
  const settings = {
    kubeconfig,
    containerd_root: dirname(store),
    sealed_dir: join(folder, "sealed"),
    verdict_dir: join(folder, "verdicts"),
  };
  const lines = Object.entries(settings).map(([name, value]) => `${name} = ${JSON.stringify(value)}\n`);
  // Layers of the node's key are open to every Pod, so the gate asks only for a tenant's layers.
  writeFileSync(join(folder, "tenants.toml"), [...lines, "share_node_layers = false\n"].join(""));
  mkdirSync(join(folder, "no-keys"));
  const annotations = Object.fromEntries(
    Object.entries(POD).map(([name, value]) => [`io.kubernetes.cri.sandbox-${name}`, value]),
  );
  writeFileSync(join(folder, "config.json"), JSON.stringify({ annotations }));
  const script = readFileSync(join(PROJECT, "deploy/runc-gate"), "utf8")
    .replace("/usr/local/bin/ctd-decoder", ours)
    .replace("/usr/sbin/runc", "/bin/true");
  writeFileSync(join(folder, "runc-gate"), script, { mode: 0o755 });
  const gate = (container: string): CommandLine => [
    ...([ours, "runtime-gate", `--settings=${join(folder, "tenants.toml")}`] as const),
    ...["--root", "/run/runc/k8s.io", "create", "--bundle", folder, container],
  ];
  return {
    sealed: [ours, "--decryption-keys-path", keys, ...seals] as CommandLine,
    tenant: [
      ours,
      ...["--decryption-keys-path", join(folder, "no-keys"), "--tenant-keys", "kubelet"],
      ...["--kubeconfig", kubeconfig, ...seals],
    ] as CommandLine,
    gate,
    entry: [join(folder, "runc-gate"), "--root", "/run/runc/k8s.io", "state", "sealed"] as CommandLine,
  };
}

/** containerd's metadata and content while the layer is unpacked, with two containers that already exist. */
function writeStore(layer: LayerFiles): void {
  const [blobs, hex] = [dirname(layer.path), layer.path.slice(-64)];
  const digest = `sha256:${hex}`;
  const passed = readFileSync(layer.payload, "latin1");
  const { Descriptor } = JSON.parse(passed.slice(passed.indexOf("{")));
  const manifest = JSON.stringify({
    schemaVersion: 2,
    config: { ...Descriptor, annotations: {} },
    layers: [Descriptor],
  });
  writeFileSync(join(blobs, createHash("sha256").update(manifest).digest("hex")), manifest);
  const label = "containerd.io/distribution.source.r.test";
  // The chain ID of a single layer is its diff ID.
  const chain = `sha256:${layer.digest}`;
  const metadata = boltDatabase({
    v1: {
      "k8s.io": {
        content: { blob: { [digest]: { labels: { [label]: REPOSITORY } } } },
        leases: {
          pull: { content: { [digest]: "" }, snapshots: { overlayfs: { [`extract-1-a ${chain}`]: "" } } },
        },
        snapshots: {
          overlayfs: {
            sealed: { parent: chain },
            [chain]: { name: "1" },
            plain: { parent: PLAIN },
            [PLAIN]: { name: "2" },
          },
        },
      },
    },
  });
  const folder = join(dirname(dirname(dirname(blobs))), "io.containerd.metadata.v1.bolt");
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "meta.db"), metadata);
}

/** Runs the API server's double in its own process, since a measurement blocks this one. */
async function startApi(folder: string, key: string): Promise<ChildProcess> {
  const pods = [{ ...POD, images: [`r.test/${REPOSITORY}:1`], secrets: ["key"] }];
  const data = { "key.pem": readFileSync(key, "latin1") };
  const secrets = [{ namespace: POD.namespace, name: "key", type: "ctd-decoder.dev/image-keys", data }];
  writeFileSync(join(folder, "objects.json"), JSON.stringify({ pods, secrets, isDown: false }));
  const server = spawn(process.execPath, [join(PROJECT, "test/support/kube-api-server.ts"), folder], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await once(server.stdout, "data");
  return server;
}
