import { DecoderError, describeSystemError } from "../../errors.ts";
import type { LayerPlace, VerifyResult } from "../../image/verify.ts";
import { readSmallFile } from "../../io/file.ts";
import { recipientName } from "../../keywrap/describe.ts";
import { schemeOf } from "../../keywrap/schemes.ts";
import * as LIMITS from "../../limits.ts";
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
import type { Style } from "../style.ts";
import type { Ui } from "../ui.ts";
import { count, formatBytes } from "../units.ts";

export const VERIFY: Command = {
  name: "verify",
  summary: "check that an image's encrypted layers are complete and unchanged",
  operands: [{ name: "SOURCE", completes: "images" }],
  options: {
    "require-encrypted": { help: "fail if a chosen layer is missing or not encrypted" },
    "require-recipients": {
      value: "FILE",
      help: "fail unless every encrypted layer is for exactly these recipients, one on each line",
    },
    ...KEY_OPTIONS,
    ...SELECTION_OPTIONS,
    platform: { ...SELECTION_OPTIONS["platform"], help: "only this platform of an index" },
    ...REGISTRY_OPTIONS,
    ...OUTPUT_OPTIONS,
  },
  notes: [
    "Decrypts every encrypted layer in memory and writes nothing. It checks the HMAC, the digest and the size, whether the plaintext is a complete tar archive, and whether it is the layer that the image's configuration lists.",
    "A line of --require-recipients is SCHEME:ID, as jwe:KID, or a recipient as inspect prints it. A line that starts with # is a comment.",
    "It does not show who encrypted the image: anyone can encrypt for a public key. To check that, verify a signature of the image.",
  ],
  examples: [
    {
      command: "ctd-decoder verify -k node.pem --require-encrypted --require-recipients who.txt oci:app:enc",
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
    const recipientsFile = args.text("require-recipients");
    const required = recipientsFile === undefined ? undefined : readRecipients(recipientsFile);
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
    const failure = failureOf(result, ui) ?? unmetDemand(result, args.flag("require-encrypted"), required);
    ui.result(result, () => render(result, ui.style), failure);
    ui.printIfQuiet(result.digest);
  },
};

function render({ layers, failures, plain, absent, bytes }: VerifyResult, style: Style): string {
  const lines = [
    ...failures.map((it) => `${style.bad("bad")}: ${printable(`${describe(it)}: ${it.message}`)}`),
    ...plain.map((it) => `${style.bold("not encrypted")}: ${printable(describe(it))}`),
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
  const which = ui.isQuiet && !ui.isJson ? `; the first: ${describe(first)}: ${first.message}` : "";
  return new DecoderError(
    first.code,
    `verification failed for ${failures.length} of ${total}${which}`,
    first.hint === undefined ? {} : { hint: first.hint },
  );
}

function unmetDemand(
  { plain, absent, recipients }: VerifyResult,
  isAllEncrypted: boolean,
  required: ReadonlySet<string> | undefined,
): DecoderError | undefined {
  const [first] = plain;
  if (isAllEncrypted && first !== undefined) {
    const others = plain.length > 1 ? ` and ${count(plain.length - 1, "other layer")}` : "";
    return new DecoderError("UNHEALTHY", `not encrypted: ${describe(first)}${others}`);
  }
  if (isAllEncrypted && absent.length > 0)
    return new DecoderError("UNHEALTHY", `SOURCE lacks ${count(absent.length, "manifest")} of the index`);
  if (required === undefined) return undefined;
  for (const layer of recipients) {
    const missing = [...required].filter((name) => !layer.names.includes(name));
    const unwanted = layer.names.filter((name) => !required.has(name));
    if (missing.length > 0)
      return new DecoderError(
        "BAD_RECIPIENT",
        `${describe(layer)} is not encrypted for ${missing.join(", ")}`,
        { hint: `it is encrypted for ${layer.names.join(", ")}` },
      );
    if (unwanted.length > 0)
      return new DecoderError(
        "BAD_RECIPIENT",
        `${describe(layer)} is also encrypted for ${unwanted.join(", ")}`,
      );
  }
  return undefined;
}

/** Reads a list of recipients, one a line. @throws DecoderError IO, CONFIG */
function readRecipients(file: string): ReadonlySet<string> {
  let text: string;
  try {
    text = Buffer.from(readSmallFile(file, LIMITS.manifestBytes)).toString();
  } catch (cause) {
    throw new DecoderError("IO", `can't read ${file}: ${describeSystemError(cause)}`, { cause });
  }
  const lines = text.split("\n").map((line) => line.trim());
  const isRecipient = (line: string) => line !== "" && !line.startsWith("#");
  const bare = lines.findIndex(
    (line) => isRecipient(line) && !line.includes(":") && schemeOf(line) === undefined,
  );
  // The line is not quoted: the file may be another one, with a secret.
  if (bare >= 0)
    throw new DecoderError("CONFIG", `line ${bare + 1} of ${file} names a recipient without a scheme`, {
      hint: "write jwe:KID for example; inspect shows recipients in this form",
    });
  const names = lines.filter(isRecipient).map(recipientName);
  if (names.length > 0) return new Set(names);
  throw new DecoderError("CONFIG", `${file} names no recipient`, {
    hint: "write one recipient on each line, as jwe:KID; inspect shows them",
  });
}

function describe({ platform, position }: LayerPlace): string {
  return `${platform} layer ${position}`;
}
