import { resolve } from "node:path";
import { renderStanza } from "../../containerd/stanza.ts";
import { KEYS_PATH, PROVIDER_CONFIG } from "../../containerd/stream-processors.ts";
import { type ContainerdVersion, parseContainerdVersion, seriesOf } from "../../containerd/version.ts";
import { DecoderError } from "../../errors.ts";
import type { ConfigCheck } from "../../node/check-config.ts";
import { isHealthy } from "../../node/finding.ts";
import { printable } from "../../text.ts";
import type { Arguments } from "../arguments.ts";
import type { Command } from "../command.ts";
import { renderFindings } from "../findings.ts";
import { OUTPUT_OPTIONS } from "../shared-options.ts";
import type { Style } from "../style.ts";
import { Ui } from "../ui.ts";
import { count } from "../units.ts";

/** Where `scripts/install-node` puts the executable. */
const PROGRAM_PATH = "/usr/local/bin/ctd-decoder";
const USUAL_SERIES = "2.x";

export const CONFIG: Command = {
  name: "config",
  summary: "print or check containerd's configuration for this decoder",
  operands: [],
  options: {
    containerd: {
      value: "VERSION",
      help: `for which containerd: 1.x, 2.x or a release; default ${USUAL_SERIES}`,
    },
    "keys-path": { value: "PATH", help: `where the private keys lie; default ${KEYS_PATH}` },
    path: { value: "FILE", help: `where this program lies; default ${PROGRAM_PATH}` },
    "provider-config": { value: "FILE", help: `the key providers; default ${PROVIDER_CONFIG}` },
    returns: {
      value: "TYPE",
      help: "tar: one processor for all layers, which decompresses them too",
      choices: ["tar"],
    },
    check: { value: "FILE", help: "check this config.toml, and all it imports, instead" },
    "search-path": { value: "PATH", help: "containerd's PATH, for --check; default this one's" },
    ...OUTPUT_OPTIONS,
  },
  notes: [
    "What is printed is a file of its own, to be imported by containerd's config.toml: entries of stream_processors replace those of the same ID. scripts/install-node does that.",
    "A check ends with exit code 1 if it finds an error. It reads and changes nothing else.",
  ],
  examples: [
    {
      command: "ctd-decoder config --containerd 2.x > /etc/containerd/conf.d/ctd-decoder.toml",
      does: "writes the processors for containerd 2.x",
    },
    {
      command: "ctd-decoder config --check /etc/containerd/config.toml --containerd 2.1.9",
      does: "says what keeps encrypted images from being pulled",
    },
  ],
  async run(args) {
    const ui = new Ui(args);
    const file = args.text("check");
    if (file === undefined) {
      if (ui.isJson)
        throw new DecoderError("USAGE", "--json goes with --check: what is printed here is TOML");
      return ui.print(stanza(args));
    }
    const version = containerdVersion(args);
    const { checkConfigFile } = await import("../../node/check-config.ts");
    const searchPath = args.text("search-path") ?? process.env["PATH"] ?? "";
    const check = checkConfigFile(file, { searchPath, ...(version && { version }) });
    ui.result(check, () => renderCheck(check, ui.style));
    if (!isHealthy(check.findings))
      throw new DecoderError("UNHEALTHY", `with ${file} containerd can't decrypt every image`);
  },
};

/** containerd runs decoders in folders of its own choice: paths are made absolute. */
function stanza(args: Arguments): string {
  const path = args.text("path") ?? PROGRAM_PATH;
  return renderStanza({
    containerd: seriesOf(containerdVersion(args) ?? { major: 2, minor: 0, patch: 0 }),
    returnsTar: args.text("returns") === "tar",
    // A bare name is one that containerd is to find on its PATH.
    path: path.includes("/") ? resolve(path) : path,
    keysPath: resolve(args.text("keys-path") ?? KEYS_PATH),
    providerConfig: resolve(args.text("provider-config") ?? PROVIDER_CONFIG),
  });
}

/** @throws DecoderError USAGE */
export function containerdVersion(args: Arguments): ContainerdVersion | undefined {
  const text = args.text("containerd");
  if (text === undefined) return undefined;
  const version = parseContainerdVersion(text);
  if (version !== undefined && (version.major === 1 || version.major === 2)) return version;
  throw new DecoderError("USAGE", `--containerd takes 1.x, 2.x or a release such as 2.1.9, not "${text}"`);
}

/** What `config --check` and `doctor` print of a configuration. */
export function renderCheck({ files, containerd, payload, findings }: ConfigCheck, style: Style): string {
  const head = `${style.bold(printable(files[0] ?? ""))}, for containerd ${containerd}`;
  const imports = files.length > 1 ? `, with ${count(files.length - 1, "import")}` : "";
  const passes = `pulls by Kubernetes ${payload ? "pass" : "don't pass"} the layer's descriptor`;
  return `${head}${imports}: ${passes}\n${renderFindings(findings, style)}`;
}
