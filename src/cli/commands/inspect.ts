import type { EncryptionInfo, ImageInfo } from "../../image/inspect.ts";
import { recipientNames } from "../../keywrap/describe.ts";
import { parseSource } from "../../transport/reference.ts";
import type { Command } from "../command.ts";
import { renderImage } from "../inspect-table.ts";
import {
  DEMAND_OPTIONS,
  DEMANDS_NOTE,
  type Demandable,
  namedDemands,
  unmetDemand,
} from "../recipient-demands.ts";
import { REGISTRY_OPTIONS, transportSettings } from "../registry-options.ts";
import {
  KEY_OPTIONS,
  namedKeys,
  OUTPUT_OPTIONS,
  SELECTION_OPTIONS,
  schemeSettings,
  selection,
} from "../shared-options.ts";
import { interruptible } from "../ui.ts";

export const INSPECT: Command = {
  name: "inspect",
  summary: "show an image's layers and who can decrypt them",
  operands: [{ name: "SOURCE", completes: "images" }],
  options: {
    ...DEMAND_OPTIONS,
    ...SELECTION_OPTIONS,
    platform: { ...SELECTION_OPTIONS["platform"], help: "only this platform of an index" },
    ...KEY_OPTIONS,
    ...REGISTRY_OPTIONS,
    ...OUTPUT_OPTIONS,
  },
  notes: [
    "With keys, the output also says which key opens which layer. SOURCE may be - for an archive, a manifest or an index on standard input.",
    "Recipients are shown with their names in the image. A JWE names a recipient by its kid. (unnamed) is a recipient without a kid. --key shows whether a private key opens the layer, or which recipient a public key or certificate is.",
    "--require-encrypted and --require-recipient check a pushed image in CI without a private key. They compare what the image says of itself; verify also decrypts it.",
    DEMANDS_NOTE,
  ],
  examples: [
    { command: "ctd-decoder inspect oci:app:enc", does: "shows every layer and its recipients" },
    {
      command: "ctd-decoder inspect docker://registry.example/app:enc",
      does: "shows the layers of an image in a registry",
    },
    {
      command: "skopeo inspect --raw docker://registry/app:enc | ctd-decoder inspect -",
      does: "shows the layers of a manifest from standard input",
    },
    {
      command: "ctd-decoder inspect --keys /etc/containerd/ocicrypt/keys oci:app:enc",
      does: "shows which key of a node opens which layer",
    },
    {
      command: "ctd-decoder inspect -q --require-encrypted --require-recipient jwe:node.pem.pub oci:app:enc",
      does: "checks in CI that an image is encrypted, and for whom",
    },
  ],
  async run(args, ui) {
    const source = parseSource(args.operand(0), transportSettings(args));
    const demands = await namedDemands(args);
    const { KnownRecipients } = await import("../../keywrap/known-recipients.ts");
    const [settings, known] = [schemeSettings(args), new KnownRecipients()];
    const others: string[] = [];
    for (const file of args.texts("key")) if (!(await known.add(file, settings))) others.push(file);
    const keys = await namedKeys(args, others);
    const { inspectImage } = await import("../../image/inspect.ts");
    const { platforms, ...chosen } = selection(args);
    const options = {
      source,
      platforms,
      chosen,
      settings,
      known,
      ...(keys && { keys }),
    };
    const info = await interruptible((signal) => inspectImage({ ...options, signal }));
    const failure = unmetDemand(demands, demandable(info));
    ui.result(info, () => renderImage(info, ui.style, ui.columns), failure);
    ui.printIfQuiet(info.digest);
  },
};

function demandable({ platforms, others }: ImageInfo): Demandable {
  const layers = platforms.flatMap(({ platform, layers }) =>
    layers.map(({ position, digest, encryption }) => ({ platform, position, digest, encryption })),
  );
  const encrypted = layers.flatMap(({ encryption, ...place }) =>
    encryption === undefined ? [] : { ...place, encryption },
  );
  return {
    plain: layers.filter(({ encryption }) => encryption === undefined),
    absent: others.filter(({ absent }) => absent),
    recipients: encrypted.map(({ encryption, ...place }) => ({
      ...place,
      names: recipientNames(encryption.packets),
    })),
    broken: encrypted.flatMap(({ encryption, ...place }) => {
      const problem = problemOf(encryption);
      return problem === undefined ? [] : { ...place, problem };
    }),
  };
}

/** Why no key can open a layer, as far as this shows without one. */
function problemOf({ problem, packets }: EncryptionInfo): string | undefined {
  if (problem !== undefined) return problem;
  const [first] = packets;
  if (first === undefined) return "the layer has no wrapped key";
  return packets.every((packet) => packet.problem !== undefined)
    ? `the layer's wrapped key for ${first.scheme} can't be read: ${first.problem}`
    : undefined;
}
