import { DecoderError } from "../../errors.ts";
import type { DecoderReport } from "../../node/decoder-report.ts";
import type { Diagnosis } from "../../node/doctor.ts";
import type { KeyReport, KeyRow } from "../../node/key-report.ts";
import type { ProviderReport } from "../../node/provider-report.ts";
import type { Refusal } from "../../node/refusals.ts";
import type { TenantsReport } from "../../node/tenants-report.ts";
import type { TrustReport } from "../../node/trust-report.ts";
import { printable } from "../../text.ts";
import type { Command } from "../command.ts";
import { renderFindings } from "../findings.ts";
import { renderImage } from "../inspect-table.ts";
import { REGISTRY_OPTIONS, transportSettings } from "../registry-options.ts";
import { OUTPUT_OPTIONS, schemeSettings } from "../shared-options.ts";
import type { Style } from "../style.ts";
import type { Ui } from "../ui.ts";
import { count } from "../units.ts";
import { containerdVersion, renderCheck } from "./config.ts";

const INDENT = "  ";
const UNSEEN = "healthy, for a containerd that is started with this configuration; none is running";

export const DOCTOR: Command = {
  name: "doctor",
  summary: "check whether this node can pull encrypted images",
  operands: [],
  options: {
    config: {
      value: "FILE",
      help: "containerd's config.toml; default that of the running containerd",
    },
    containerd: { value: "VERSION", help: "the containerd that reads it, if none is running" },
    "keys-path": { value: "PATH", help: "the private keys; default the path in the configuration" },
    image: {
      value: "IMAGE",
      help: "also try the keys on this image: docker://NAME, oci:DIR[:TAG], an archive, or a full name in containerd's store or else in its registry",
    },
    ...REGISTRY_OPTIONS,
    ...OUTPUT_OPTIONS,
  },
  notes: [
    "Checks containerd's configuration, the keys and the key providers, and runs the configured decoder on a small layer for each key. On a node that checks signatures, it also applies the node's policy to --image. On a node of several tenants, it also checks the gate, the seal records and the API server, which must refuse it a Secret that no Pod here names. It changes nothing and prints no secret. Run it as root, because other users cannot read everything.",
    "The exit code is 0 if the running containerd can pull encrypted images, else 1. If no containerd is running, the result is for one that starts with this configuration.",
  ],
  examples: [
    { command: "ctd-decoder doctor", does: "checks the containerd that runs on this node" },
    {
      command: "ctd-decoder doctor --image registry.example.com/app:enc --json",
      does: "also reports which key opens which layer of an image, as JSON",
    },
  ],
  async run(args, ui) {
    const { diagnose } = await import("../../node/doctor.ts");
    const given = (name: string) => args.text(name);
    const [configFile, keysPath, image] = [given("config"), given("keys-path"), given("image")];
    const version = containerdVersion(args);
    const diagnosis = await diagnose({
      settings: schemeSettings(args),
      transport: transportSettings(args),
      ...(configFile !== undefined && { configFile }),
      ...(version !== undefined && { version }),
      ...(keysPath !== undefined && { keysPath }),
      ...(image !== undefined && { image }),
    });
    const failure = diagnosis.healthy ? undefined : unhealthy(diagnosis, ui);
    ui.result(diagnosis, () => renderDiagnosis(diagnosis, ui.style, ui.columns), failure);
  },
};

/** With --quiet nothing else is printed, so the error names the first finding. */
function unhealthy({ findings, ...reports }: Diagnosis, { isQuiet, isJson }: Ui): DecoderError {
  const { config, decoder, keys, providers, tenants, trust } = reports;
  const all = [
    findings,
    ...[config, decoder, keys, providers, tenants, trust].map((it) => it?.findings ?? []),
  ];
  const first = isQuiet && !isJson ? all.flat().find(({ severity }) => severity === "error") : undefined;
  const summary = "this node cannot pull every encrypted image";
  if (first === undefined) return new DecoderError("UNHEALTHY", summary);
  const { message, hint } = first;
  return new DecoderError("UNHEALTHY", `${summary}: ${message}`, { ...(hint !== undefined && { hint }) });
}

function renderDiagnosis(diagnosis: Diagnosis, style: Style, columns: number): string {
  const { containerd, config, decoder, keys, providers, trust, image, tenants, refusals, findings, healthy } =
    diagnosis;
  return [
    ...(findings.length > 0 ? [renderFindings(findings, style)] : []),
    renderContainerd(diagnosis, style),
    ...(config ? [renderCheck(config, style)] : []),
    ...(decoder ? [renderDecoder(decoder, style)] : []),
    ...(keys ? [renderKeys(keys, style)] : []),
    ...(providers ? [renderProviders(providers, style)] : []),
    ...(tenants ? [renderTenants(tenants, style)] : []),
    ...(trust ? [renderTrust(trust, style)] : []),
    renderSelfTest(diagnosis, style),
    ...(image ? [renderImage(image, style, columns)] : []),
    ...(refusals.length > 0 ? [renderRefusals(refusals, style)] : []),
    ...(healthy ? [`${style.good(containerd.running === undefined ? UNSEEN : "healthy")}\n`] : []),
  ].join("\n");
}

function renderContainerd({ containerd: { running, version } }: Diagnosis, style: Style): string {
  const where =
    running === undefined ? "not running" : `process ${running.pid}, ${printable(running.executable)}`;
  const what = version === undefined ? "" : `${INDENT}${printable(version)}\n`;
  return `${style.bold("containerd")}: ${where}\n${what}`;
}

function renderDecoder({ path, version, findings }: DecoderReport, style: Style): string {
  const title = `${style.bold("decoder")}: ${printable(path)}${version === undefined ? "" : `, ${printable(version)}`}\n`;
  return findings.length > 0 ? title + renderFindings(findings, style) : title;
}

function renderTenants({ findings, ...report }: TenantsReport, style: Style): string {
  const { node, kubernetes, pods, gates, sealedChains } = report;
  const facts = [
    node === undefined ? "node unknown" : `node ${printable(node)}`,
    ...(kubernetes === undefined ? [] : [`Kubernetes ${printable(kubernetes)}`]),
    ...(pods === undefined ? [] : [count(pods, "Pod")]),
    gates.length === 0 ? "no gate" : `a gate before ${printable(gates.join(", "))}`,
    count(sealedChains, "sealed chain"),
  ];
  return `${style.bold("tenants")}: ${facts.join(", ")}\n${renderFindings(findings, style)}`;
}

function renderRefusals(refusals: readonly Refusal[], style: Style): string {
  const lines = refusals.map(({ time, message }) => `${INDENT}${time} ${printable(message)}\n`);
  return `${style.bold("last refusals")}\n${lines.join("")}`;
}

function renderKeys({ path, rows, findings }: KeyReport, style: Style): string {
  const lines = rows.map((row) => `${INDENT}${renderKey(row, style)}\n`);
  return `${style.bold(`keys in ${printable(path)}`)}\n${lines.join("")}${renderFindings(findings, style)}`;
}

function renderKey({ file, kind, kid, subject, mode, skipped }: KeyRow, style: Style): string {
  const about = [kind, kid && `kid=${kid}`, subject, mode].filter((part) => part !== undefined);
  const text = skipped === undefined ? about.join(", ") : style.dim(`not used: ${printable(skipped)}`);
  return `${printable(file)}: ${skipped === undefined ? printable(text) : text}`;
}

function renderProviders({ path, providers, findings }: ProviderReport, style: Style): string {
  const title = style.bold(`key providers in ${printable(path)}`);
  if (providers.length === 0 && findings.length === 0) return `${title}: none\n`;
  const lines = providers.map(
    ({ name, where, problem }) => `${INDENT}${printable(`${name}: ${where}`)} ${verdict(problem, style)}\n`,
  );
  return `${title}\n${lines.join("")}`;
}

function renderTrust({ settings, policy, binDir, hasGate, findings }: TrustReport, style: Style): string {
  const lines = [
    ...(policy === undefined ? [] : [`policy ${printable(policy)}`]),
    ...(binDir === undefined ? [] : [`image verifiers in ${printable(binDir)}`]),
    `the decoder's gate is ${hasGate ? "on" : "off"}`,
  ];
  const title = style.bold(`signatures, by ${printable(settings)}`);
  return `${title}\n${lines.map((it) => `${INDENT}${it}\n`).join("")}${renderFindings(findings, style)}`;
}

function renderSelfTest({ selfTest, missing, healthy }: Diagnosis, style: Style): string {
  const title = style.bold(`self-test with ${count(selfTest.length, "key")}`);
  if (selfTest.length === 0) {
    // An error that kept the test from running is among the findings.
    const why = missing === undefined ? "see the errors above" : `it needs ${missing.join(", and ")}`;
    return `${title}\n${INDENT}${healthy ? style.dim(`not run: ${why}`) : style.bad(`not run: ${why}`)}\n`;
  }
  const lines = selfTest.map(({ key, scheme, problem, untested }) => {
    const result = untested === undefined ? verdict(problem, style) : style.dim(`not tested: ${untested}`);
    return `${INDENT}${printable(key)} (${scheme}): ${result}\n`;
  });
  return `${title}\n${lines.join("")}`;
}

function verdict(problem: string | undefined, style: Style): string {
  return problem === undefined ? style.good("ok") : style.bad(printable(problem));
}
