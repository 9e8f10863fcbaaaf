import { KEYS_PATH, PROVIDER_CONFIG } from "../containerd/stream-processors.ts";
import type { Command, Options } from "./command.ts";
import { capitalised, OTHER_FLAGS, optionTerm, optionText, PROGRAM_FLAGS, usage } from "./help.ts";
import { VERSION } from "./version.ts";

/** The manual page, in the man(7) language, of everything that help tells. */
export function manualPage(commands: readonly Command[]): string {
  return [
    `.TH CTD\\-DECODER 1 "" "ctd\\-decoder ${VERSION}" "User Commands"`,
    ".SH NAME",
    "ctd\\-decoder \\- decrypts encrypted container image layers where they are pulled",
    ".SH SYNOPSIS",
    ".B ctd\\-decoder",
    "[\\fIFLAGS\\fR] < \\fIlayer\\fR > \\fIplaintext\\fR",
    ...commands.flatMap((command) => [".br", bold(usage(command))]),
    ".SH DESCRIPTION",
    escaped(
      "Without a command this is a stream processor of containerd: it reads what to decrypt with from file descriptor 3, an encrypted layer from standard input, and writes the layer's plaintext to standard output, once all of it is authenticated. The commands make, change and examine encrypted images.",
    ),
    ".SH STREAM PROCESSOR",
    ...optionList(PROGRAM_FLAGS),
    ".SH OTHER FLAGS",
    ...optionList(OTHER_FLAGS),
    ".SH COMMANDS",
    ...commands.flatMap(commandPart),
    ".SH EXIT STATUS",
    escaped("0 when all went well, 1 for every failure, which is told on standard error."),
    ".SH ENVIRONMENT",
    ...item("OCICRYPT_CONFIG", "which PKCS#11 modules may be loaded"),
    ...item("OCICRYPT_KEYPROVIDER_CONFIG", "the key providers there are"),
    ...item("OCICRYPT_AUDIT_LOG", "where a line is added for each layer, unless --audit-log says so"),
    ...item("NO_COLOR", "set to anything: no colours"),
    ...item("TMPDIR", "where large temporary files go"),
    ".SH FILES",
    ...item(KEYS_PATH, "the usual keys folder"),
    ...item(PROVIDER_CONFIG, "the usual place of what OCICRYPT_KEYPROVIDER_CONFIG names"),
    ...item("/etc/containerd/config.toml", "containerd's configuration, which names the stream processors"),
    ".SH SEE ALSO",
    escaped("containerd(8), containerd-config.toml(5), skopeo(1), openssl(1), gpg(1)"),
    "",
  ].join("\n");
}

function commandPart(command: Command): string[] {
  return [
    `.SS ${bold(usage(command)).replace(/^\.B /, "")}`,
    `${escaped(capitalised(command.summary))}.`,
    ...optionList(command.options),
    ...command.notes.flatMap((note) => [".PP", escaped(note)]),
    ...command.examples.flatMap(({ command: line, does }) => [
      ".PP",
      `${escaped(capitalised(does))}:`,
      ".PP",
      ".RS 4",
      ".nf",
      escaped(line),
      ".fi",
      ".RE",
    ]),
  ];
}

function optionList(options: Options): string[] {
  return Object.entries(options).flatMap(([name, option]) =>
    item(optionTerm(name, option), optionText(option)),
  );
}

function item(term: string, text: string): string[] {
  return [".TP", bold(term), escaped(text)];
}

function bold(text: string): string {
  return `.B ${escaped(text)}`;
}

/** groff_char(7): a backslash begins an escape, a hyphen is no minus, and a first dot or quote would be a request. */
function escaped(text: string): string {
  return text.replace(/\\/g, "\\e").replace(/-/g, "\\-").replace(/^[.']/, "\\&$&");
}
