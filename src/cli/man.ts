import { KEYS_PATH, PROVIDER_CONFIG } from "../containerd/stream-processors.ts";
import type { Command, Options } from "./command.ts";
import { capitalised, OTHER_FLAGS, optionTerm, optionText, PROGRAM_FLAGS, usage, VERSION } from "./help.ts";

/** The manual page in the man(7) language, with everything that help shows. */
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
      "Without a command this is a stream processor of containerd. It reads the layer's descriptor from file descriptor 3 and the encrypted layer from standard input, authenticates the whole layer, and then writes its plaintext to standard output. The commands make, change and examine encrypted images.",
    ),
    ".SH STREAM PROCESSOR",
    ...optionList(PROGRAM_FLAGS),
    ".SH OTHER FLAGS",
    ...optionList(OTHER_FLAGS),
    ".SH COMMANDS",
    ...commands.flatMap(commandPart),
    ".SH EXIT STATUS",
    escaped(
      "0 on success. 1 on every failure, with a message on standard error. 2 if a command is used wrongly; the stream processor reports that as 1, too. 3 if install or uninstall is complete except for a restart of containerd.",
    ),
    ".SH ENVIRONMENT",
    ...item("OCICRYPT_CONFIG", "the configuration file that says which PKCS#11 modules may be loaded"),
    ...item("OCICRYPT_KEYPROVIDER_CONFIG", "the configuration file of the key providers"),
    ...item("OCICRYPT_AUDIT_LOG", "the audit log, unless --audit-log names one"),
    ...item("COSIGN_PASSWORD", "the password of a signing key; it may be empty"),
    ...item("REGISTRY_AUTH_FILE", "the file of credentials for registries, unless --authfile names one"),
    ...item("NO_COLOR", "if set, no colours"),
    ...item("TMPDIR", "the folder of large temporary files"),
    ".SH FILES",
    ...item(KEYS_PATH, "the usual keys folder"),
    ...item(PROVIDER_CONFIG, "the usual value of OCICRYPT_KEYPROVIDER_CONFIG"),
    ...item("/etc/containerd/config.toml", "containerd's configuration, with its stream processors"),
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

/** groff_char(7): a backslash starts an escape, "-" is a hyphen and "\\-" a minus, and a leading dot or quote a request. */
function escaped(text: string): string {
  return text.replace(/\\/g, "\\e").replace(/-/g, "\\-").replace(/^[.']/, "\\&$&");
}
