/** Rows of pulls through containerd's CRI: the time that encryption adds to a pull of the same image unencrypted. */
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Node, REGISTRY } from "../../test/containerd/node.ts";
import { testedRelease } from "../../test/containerd/release.ts";
import { output, skopeo } from "../../test/support/peers.ts";
import { writeImage } from "./images.ts";
import { type CommandLine, settle, timeOf } from "./programs.ts";
import { atMost, type Row } from "./row.ts";

const MB = 1_000_000;
/** The largest layer comes last, because this snapshotter copies all lower layers for each one. */
const FILES = [...Array.from({ length: 7 }, () => MB), 200 * MB];
const KINDS = [
  { compression: "none", name: "plain tar" },
  { compression: "gzip", name: "gzip" },
] as const;

export const PULLING: readonly Row[] = KINDS.map(({ compression, name }) => ({
  id: `pull-${compression}`,
  unit: "ms",
  rounds: 40,
  option: "containerd",
  lines: [
    {
      title: `added to a pull, 1 × 200 MB + 7 × 1 MB, ${name}`,
      of: "ours",
      over: "go",
      beyond: "unencrypted",
      goal: atMost(0.6),
    },
    { title: `a pull of that image unencrypted, ${name}`, of: "unencrypted" },
  ],
  prepare: async (workspace) => {
    const folder = workspace.newFolder(`pull-${compression}`);
    const layout = join(folder, "layout");
    await writeImage(
      layout,
      "plain",
      FILES.map((bytes) => ({ bytes, compression })),
    );
    const [recipient] = (await workspace.keys()).recipients;
    const places = [`oci:${layout}:plain`, `oci:${layout}:encrypted`];
    timeOf([workspace.ours, "encrypt", "--quiet", "--recipient", `jwe:${recipient}`, ...places], folder);

    const { ours, go } = await workspace.decoders();
    const node = await Node.start(testedRelease());
    const references = [await push(node, layout, "plain"), await push(node, layout, "encrypted")] as const;
    return {
      contestants: {
        unencrypted: () => timeOfPull(node, references[0]),
        ours: () => timeOfPull(node, references[1], ours),
        go: () => timeOfPull(node, references[1], go),
      },
      end: () => node.stop(),
    };
  },
}));

/** Without compression by skopeo, which would change uncompressed layers. */
async function push(node: Node, layout: string, tag: string): Promise<string> {
  const reference = `${REGISTRY}/bench:${tag}`;
  await output(node.inside(skopeo), [
    ...["--insecure-policy", "copy", "--preserve-digests", "--dest-tls-verify=false"],
    ...[`oci:${layout}:${tag}`, `docker://${reference}`],
  ]);
  return reference;
}

async function timeOfPull(node: Node, reference: string, decoder?: CommandLine): Promise<number> {
  if (decoder !== undefined) setDecoder(node, decoder);
  settle();
  const start = performance.now();
  await node.images.pull(reference);
  const milliseconds = performance.now() - start;
  await node.clear();
  return milliseconds;
}

/** Replaces the script in the node's configuration, whose arguments only this project's decoder knows. */
function setDecoder(node: Node, decoder: CommandLine): void {
  const script = join(node.folder, "decoder");
  writeFileSync(script, `#!/bin/busybox sh\nexec ${decoder.join(" ")}\n`);
  chmodSync(script, 0o755);
}
