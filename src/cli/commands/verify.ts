import { DecoderError } from "../../errors.ts";
import type { VerifyResult } from "../../image/verify.ts";
import { printable } from "../../text.ts";
import { parseSource } from "../../transport/reference.ts";
import type { Command } from "../command.ts";
import {
  DEMAND_OPTIONS,
  DEMANDS_NOTE,
  describePlace,
  namedDemands,
  unmetDemand,
} from "../recipient-demands.ts";
import { REGISTRY_OPTIONS, transportSettings } from "../registry-options.ts";
import {
  KEY_OPTIONS,
  OUTPUT_OPTIONS,
  requiredKeys,
  SELECTION_OPTIONS,
  schemeSettings,
  selection,
} from "../shared-options.ts";
import type { Style } from "../style.ts";
import type { Ui } from "../ui.ts";
import { count, formatBytes } from "../units.ts";

export const VERIFY: Command = {
  name: "verify",
  summary: "check that an image's encrypted layers are complete and unchanged",
  operands: [{ name: "SOURCE", completes: "images" }],
  options: {
    ...DEMAND_OPTIONS,
    ...KEY_OPTIONS,
    ...SELECTION_OPTIONS,
    platform: { ...SELECTION_OPTIONS["platform"], help: "only this platform of an index" },
    ...REGISTRY_OPTIONS,
    ...OUTPUT_OPTIONS,
  },
  notes: [
    "Decrypts every encrypted layer in memory and writes nothing. It checks the HMAC, the digest and the size, whether the plaintext is a complete tar archive, and whether it is the layer that the image's configuration lists.",
    DEMANDS_NOTE,
    "It does not show who encrypted the image: anyone can encrypt for a public key. To check that, verify a signature of the image.",
  ],
  examples: [
    {
      command:
        "ctd-decoder verify -k node.pem --require-encrypted --require-recipient jwe:node.pem.pub oci:app:enc",
      does: "checks in CI that an image is encrypted, and for whom",
    },
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
    const demands = await namedDemands(args);
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
    const failure = failureOf(result, ui) ?? unmetDemand(demands, result);
    ui.result(result, () => render(result, ui.style), failure);
    ui.printIfQuiet(result.digest);
  },
};

function render({ layers, failures, plain, absent, bytes }: VerifyResult, style: Style): string {
  const lines = [
    ...failures.map((it) => `${style.bad("bad")}: ${printable(`${describePlace(it)}: ${it.message}`)}`),
    ...plain.map((it) => `${style.bold("not encrypted")}: ${printable(describePlace(it))}`),
    ...absent.map(({ digest }) => `${style.bold("missing from SOURCE")}: ${printable(digest)}`),
  ];
  const good = `verify: ${count(layers.length, "layer")}, ${formatBytes(bytes)}, ${style.good("all complete and unchanged since they were encrypted")}`;
  return [...lines, ...(failures.length === 0 ? [good] : []), ""].join("\n");
}

function failureOf({ layers, failures }: VerifyResult, ui: Ui): DecoderError | undefined {
  const [first] = failures;
  if (first === undefined) return undefined;
  const total = count(layers.length + failures.length, "layer");
  // Without --quiet, standard output lists the layers.
  const which = ui.isQuiet && !ui.isJson ? `; the first: ${describePlace(first)}: ${first.message}` : "";
  return new DecoderError(
    first.code,
    `verification failed for ${failures.length} of ${total}${which}`,
    first.hint === undefined ? {} : { hint: first.hint },
  );
}
