import { DecoderError } from "../../errors.ts";
import type { VerifyFailure } from "../../image/verify.ts";
import { printable } from "../../text.ts";
import { parseSource } from "../../transport/reference.ts";
import type { Command } from "../command.ts";
import { REGISTRY_OPTIONS, transportSettings } from "../registry-options.ts";
import {
  KEY_OPTIONS,
  OUTPUT_OPTIONS,
  requiredKeys,
  SELECTION_OPTIONS,
  schemeSettings,
  selection,
} from "../shared-options.ts";
import { count, formatBytes } from "../units.ts";

export const VERIFY: Command = {
  name: "verify",
  summary: "check that an image's encrypted layers are complete and unchanged",
  operands: [{ name: "SOURCE", completes: "images" }],
  options: {
    ...KEY_OPTIONS,
    ...SELECTION_OPTIONS,
    ...REGISTRY_OPTIONS,
    ...OUTPUT_OPTIONS,
  },
  notes: [
    "Decrypts every encrypted layer in memory and writes nothing. It checks the HMAC, the digest and the size, whether the plaintext is a complete tar archive, and whether it is the layer that the image's configuration lists.",
    "It does not show who encrypted the image: anybody can encrypt for a public key. Verify a signature of the image for that.",
  ],
  examples: [
    {
      command: "ctd-decoder verify --keys /etc/containerd/ocicrypt/keys oci:app:enc",
      does: "checks an image with a node's keys",
    },
    {
      command: "ctd-decoder verify --key k.pem docker://registry.example/app:enc",
      does: "checks an image in a registry",
    },
  ],
  async run(args, ui) {
    const source = parseSource(args.operand(0), transportSettings(args));
    const keys = await requiredKeys(args);
    const { verifyImage } = await import("../../image/verify.ts");
    const options = {
      source,
      keys,
      settings: schemeSettings(args),
      selection: selection(args),
    };
    const result = await ui.work("verifying", (progress, signal) =>
      verifyImage({ ...options, running: { progress, signal } }),
    );
    const { layers, failures, bytes } = result;
    const total = layers.length + failures.length;
    ui.result(result, () =>
      failures.length === 0
        ? `verify: ${count(total, "layer")}, ${formatBytes(bytes)}, ${ui.style.good("all complete and unchanged since they were encrypted")}\n`
        : failures.map((it) => `${ui.style.bad("bad")}: ${printable(describe(it))}\n`).join(""),
    );
    const [first] = failures;
    if (first === undefined) return;
    // Where the layers were named on standard output, once is enough.
    const which = ui.isQuiet && !ui.isJson ? `; the first: ${describe(first)}` : "";
    throw new DecoderError(
      first.code,
      `verification failed for ${failures.length} of ${count(total, "layer")}${which}`,
      first.hint === undefined ? {} : { hint: first.hint },
    );
  },
};

function describe({ platform, position, message }: VerifyFailure): string {
  return `${platform} layer ${position}: ${message}`;
}
