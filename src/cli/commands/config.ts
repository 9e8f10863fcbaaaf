import { resolve } from "node:path";
import { renderVerifier, wantedStanza } from "../../containerd/image-verifier.ts";
import {
  KEYS_PATH,
  PROGRAM_PATH,
  PROVIDER_CONFIG,
  renderStanza,
} from "../../containerd/stream-processors.ts";
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
import { count } from "../units.ts";

const USUAL_SERIES = "2.x";

export const CONFIG: Command = {
  name: "config",
  summary: "print or check containerd's configuration for this decoder",
  operands: [],
  options: {
    containerd: {
      value: "VERSION",
      help: `the containerd that reads it: 1.x, 2.x or a release; default ${USUAL_SERIES}`,
    },
    "keys-path": { value: "PATH", help: `the private keys; default ${KEYS_PATH}` },
    path: { value: "FILE", help: `this program, or a name on containerd's PATH; default ${PROGRAM_PATH}` },
    "provider-config": { value: "FILE", help: `the key providers; default ${PROVIDER_CONFIG}` },
    "trust-policy": {
      value: "FILE",
      help: "also print the decoder's gate by this policy or trust.toml, and for 2.x the image verifier",
    },
    returns: {
      value: "TYPE",
      help: "tar: one processor that accepts and decompresses all layers",
      choices: ["tar"],
    },
    check: {
      value: "FILE",
      help: "check this config.toml or its template, with all imports, instead",
    },
    "search-path": {
      value: "PATH",
      help: "containerd's PATH, for --check; default the PATH of this process",
    },
    root: {
      value: "DIR",
      help: "for --check: the node's file system is mounted at DIR, and FILE is a path on the node",
    },
    ...OUTPUT_OPTIONS,
  },
  notes: [
    "The output is a file for containerd's config.toml to import: its stream_processors replace those with the same ID. `ctd-decoder install` writes the file and the import.",
    'containerd reads a file in conf.d only if config.toml imports it: imports = ["/etc/containerd/conf.d/*.toml"]. The config.toml may be of an older version than the file.',
    "A check ends with exit code 1 if it finds an error. It changes nothing.",
  ],
  examples: [
    {
      command: "ctd-decoder config --containerd 2.x > /etc/containerd/conf.d/ctd-decoder.toml",
      does: "writes the processors for containerd 2.x to a folder that config.toml imports",
    },
    {
      command: "ctd-decoder config --check /etc/containerd/config.toml --containerd 2.1.9",
      does: "reports what keeps containerd from pulling encrypted images",
    },
  ],
  async run(args, ui) {
    const root = args.text("root");
    const file = root === undefined ? args.text("check") : args.nodePath("check");
    if (file === undefined) {
      if (root !== undefined) throw new DecoderError("USAGE", "--root needs --check FILE");
      if (ui.isJson) throw new DecoderError("USAGE", "--json needs --check: the output here is TOML");
      return ui.print(stanza(args));
    }
    const version = containerdVersion(args);
    const { checkConfigFile, checkMountedConfig, localLookup } = await import("../../node/check-config.ts");
    const searchPath = args.text("search-path") ?? process.env["PATH"] ?? "";
    const check =
      root === undefined
        ? checkConfigFile(file, { lookup: localLookup(searchPath), ...(version && { version }) })
        : checkMountedConfig(file, { root: resolve(root), searchPath, version });
    const failure = isHealthy(check.findings)
      ? undefined
      : new DecoderError("UNHEALTHY", `with ${file} containerd cannot decrypt every image`);
    ui.result(check, () => renderCheck(check, ui.style), failure);
  },
};

/** Paths become absolute: containerd runs decoders in a working directory of its own. */
function stanza(args: Arguments): string {
  const path = args.text("path") ?? PROGRAM_PATH;
  const containerd = seriesOf(containerdVersion(args) ?? { major: 2, minor: 0, patch: 0 });
  const trustPolicy = args.text("trust-policy");
  const isTrusted = trustPolicy !== undefined;
  const note = "# containerd 1.x has no image verifier: images that are not encrypted are not checked.\n";
  const stanza = renderStanza({
    containerd,
    returnsTar: args.text("returns") === "tar",
    // containerd finds a bare name on its PATH.
    path: path.includes("/") ? resolve(path) : path,
    keysPath: resolve(args.text("keys-path") ?? KEYS_PATH),
    providerConfig: resolve(args.text("provider-config") ?? PROVIDER_CONFIG),
    ...(isTrusted && { trustPolicy: resolve(trustPolicy) }),
    ...(isTrusted && containerd === "2.x" && { tables: [renderVerifier(wantedStanza({}))] }),
  });
  return isTrusted && containerd === "1.x" ? note + stanza : stanza;
}

/** @throws DecoderError USAGE */
export function containerdVersion(args: Arguments): ContainerdVersion | undefined {
  const text = args.text("containerd");
  if (text === undefined) return undefined;
  const version = parseContainerdVersion(text);
  if (version !== undefined && (version.major === 1 || version.major === 2)) return version;
  throw new DecoderError("USAGE", `--containerd takes 1.x, 2.x or a release such as 2.1.9, not "${text}"`);
}

/** The text that `config --check` and `doctor` print for a configuration. */
export function renderCheck({ files, containerd, payload, findings }: ConfigCheck, style: Style): string {
  const head = `${style.bold(printable(files[0] ?? ""))}, for containerd ${containerd}`;
  const imports = files.length > 1 ? `, with ${count(files.length - 1, "import")}` : "";
  const passes = `pulls by Kubernetes ${payload ? "pass" : "do not pass"} the layer's descriptor`;
  return `${head}${imports}: ${passes}\n${renderFindings(findings, style)}`;
}
