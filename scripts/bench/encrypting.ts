/** Rows of encrypting an image, compared with skopeo. */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { skopeoNew } from "../../test/support/peers.ts";
import { writeImage } from "./images.ts";
import { type CommandLine, settle, timeOf } from "./programs.ts";
import { atMost, type Row } from "./row.ts";
import { MiB } from "./units.ts";

export const ENCRYPTING: Row = {
  id: "encrypt",
  unit: "ms",
  rounds: 40,
  lines: [
    {
      title: "encrypt an image, 512 MiB of plain tar",
      of: "ours",
      over: "skopeo",
      goal: atMost(0.7),
    },
  ],
  prepare: async (workspace) => {
    const folder = workspace.newFolder("encrypt");
    const [source, target] = [join(folder, "plain"), join(folder, "encrypted")];
    await writeImage(source, "plain", [{ bytes: 512 * MiB, compression: "none" }]);
    const [publicKey] = (await workspace.keys()).recipients;
    const recipient = `jwe:${publicKey}`;
    const places = [`oci:${source}:plain`, `oci:${target}:encrypted`] as const;
    const copy = ["--insecure-policy", "copy", "--quiet", "--dest-oci-accept-uncompressed-layers"] as const;
    const commands: Record<"ours" | "skopeo", CommandLine> = {
      ours: [workspace.ours, "encrypt", "--quiet", "--recipient", recipient, ...places],
      skopeo: [skopeoNew.command, ...skopeoNew.args, ...copy, "--encryption-key", recipient, ...places],
    };
    const measure = (command: CommandLine) => {
      rmSync(target, { recursive: true, force: true });
      settle();
      return timeOf(command, folder);
    };
    return {
      contestants: { ours: () => measure(commands.ours), skopeo: () => measure(commands.skopeo) },
      end: async () => rmSync(folder, { recursive: true }),
    };
  },
};
