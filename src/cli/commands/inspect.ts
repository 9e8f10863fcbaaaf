import { parseSource } from "../../transport/reference.ts";
import type { Command } from "../command.ts";
import { renderImage } from "../inspect-table.ts";
import { interruptible } from "../interrupt.ts";
import { KEY_OPTIONS, namedKeys, schemeSettings } from "../shared-options.ts";
import { Ui } from "../ui.ts";

export const INSPECT: Command = {
  name: "inspect",
  summary: "show an image's layers, and for whom they are encrypted",
  operands: [{ name: "SOURCE", completes: "files" }],
  options: {
    platform: { value: "OS/ARCH", help: "only this platform", repeats: true },
    ...KEY_OPTIONS,
    json: { help: "print JSON" },
  },
  notes: [
    "With keys, also which of them opens which layer. SOURCE may be - for an archive, or a single manifest or index, on standard input.",
    "Recipients are named as far as the image tells. (unnamed) is one that it tells no name of: a JWE names JWKs that have a kid, as keygen --format jwk makes them, and neither PEM keys nor certificates. Whether it is a certain key --key tells.",
  ],
  examples: [
    { command: "ctd-decoder inspect oci:app:enc", does: "shows the recipients of every layer" },
    {
      command: "skopeo inspect --raw docker://registry/app:enc | ctd-decoder inspect -",
      does: "the same for an image in a registry",
    },
    {
      command: "ctd-decoder inspect --keys /etc/containerd/ocicrypt/keys oci:app:enc",
      does: "shows which of a node's keys opens which layer",
    },
  ],
  async run(args) {
    const source = parseSource(args.operand(0));
    const ui = new Ui(args);
    const keys = await namedKeys(args);
    const { inspectImage } = await import("../../image/inspect.ts");
    const platforms = args.texts("platform").flatMap((text) => text.split(","));
    const options = { source, platforms, settings: schemeSettings(args), ...(keys && { keys }) };
    const info = await interruptible((signal) => inspectImage({ ...options, signal }));
    ui.result(info, () => renderImage(info, ui.style, ui.columns));
  },
};
