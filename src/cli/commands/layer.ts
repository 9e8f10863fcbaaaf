import { defaultOptions } from "../../decoder/flags.ts";
import { DecoderError, describeSystemError } from "../../errors.ts";
import { readSmallFile } from "../../io/file.ts";
import { Input } from "../../io/input.ts";
import { Output } from "../../io/output.ts";
import * as LIMITS from "../../limits.ts";
import type { Descriptor } from "../../spec/descriptor.ts";
import { parseSource } from "../../transport/reference.ts";
import type { Arguments } from "../arguments.ts";
import type { Command } from "../command.ts";
import { REGISTRY_OPTIONS, transportSettings } from "../registry-options.ts";
import { KEY_OPTIONS, requiredKeys, schemeSettings } from "../shared-options.ts";
import { StandardStream } from "../standard-stream.ts";
import { interruptible } from "../ui.ts";

export const LAYER: Command = {
  name: "layer",
  pipes: "always",
  summary: "decrypt one layer to standard output",
  operands: [{ name: "SOURCE", optional: true, completes: "images" }],
  options: {
    index: {
      value: "N",
      help: "which layer of SOURCE: 0 is the first and the default, -1 the last",
      alias: "i",
    },
    platform: { value: "OS/ARCH", help: "which platform of SOURCE, if it has several", alias: "p" },
    descriptor: {
      value: "FILE",
      help: "file with the layer's descriptor as JSON; the layer comes from standard input",
    },
    ...KEY_OPTIONS,
    ...REGISTRY_OPTIONS,
    json: { help: "print an error as JSON, to standard error", group: "Output" },
  },
  notes: [
    "The layer comes from an image, or from standard input with its descriptor (its entry in the manifest) in a file. No byte is written before the whole layer is authenticated.",
  ],
  examples: [
    {
      command: "ctd-decoder layer --index 0 --key node.pem oci:app:enc | tar tzv",
      does: "lists the files in an image's first layer",
    },
    {
      command: "ctd-decoder layer --descriptor desc.json --keys ./keys < layer.enc > layer.tar",
      does: "decrypts a layer downloaded by hand",
    },
  ],
  async run(args) {
    const [source, descriptor] = [args.optionalOperand(0), args.text("descriptor")];
    if ((source === undefined) === (descriptor === undefined)) {
      throw new DecoderError("USAGE", "name either SOURCE or --descriptor", {
        hint: "see ctd-decoder layer --help",
      });
    }
    if (new StandardStream(1).isTTY) {
      throw new DecoderError("USAGE", "refusing to write a binary layer to a terminal", {
        hint: "redirect standard output to a file or a pipe",
      });
    }
    if (source !== undefined) await fromImage(source, args);
    else await fromInput(descriptor ?? "", args);
  },
};

async function fromImage(source: string, args: Arguments): Promise<void> {
  const reference = parseSource(source, transportSettings(args));
  const position = args.integer("index", -LIMITS.layers, LIMITS.layers) ?? 0;
  const platform = args.text("platform");
  const keys = await requiredKeys(args);
  const { extractLayer } = await import("../../image/layer.ts");
  const which = { position, ...(platform !== undefined && { platform }) };
  await interruptible(async (signal) => {
    const image = await reference.open({ signal });
    try {
      const { spoolMemory, spoolDirectory } = defaultOptions().release;
      const { PipeOutput } = await import("../../io/pipe.ts");
      const output = new PipeOutput(1, "standard output");
      const opening = { keys, settings: schemeSettings(args) };
      await extractLayer(image, which, opening, { output, spoolMemory, spoolDirectory, signal });
    } finally {
      await image.close();
    }
  });
}

async function fromInput(file: string, args: Arguments): Promise<void> {
  const { decryptStream } = await import("../../image/layer.ts");
  const descriptor = await readDescriptor(file);
  const keys = await requiredKeys(args);
  const [input, output] = [new Input(0, "standard input"), new Output(1, "standard output")];
  const { spoolMemory, spoolDirectory } = defaultOptions().release;
  const opening = { keys, settings: schemeSettings(args) };
  await decryptStream(descriptor, input, opening, { output, spoolMemory, spoolDirectory });
}

async function readDescriptor(file: string): Promise<Descriptor> {
  const { parseDescriptorFile } = await import("../../image/layer.ts");
  let bytes: Uint8Array;
  try {
    bytes = readSmallFile(file, LIMITS.manifestBytes);
  } catch (error) {
    throw new DecoderError("IO", `can't read ${file}: ${describeSystemError(error)}`, { cause: error });
  }
  return parseDescriptorFile(bytes, file);
}
