import { resolve } from "node:path";
import { KEYS_PATH, PROGRAM_PATH } from "../../containerd/stream-processors.ts";
import { DecoderError } from "../../errors.ts";
import type { InstallReport } from "../../node/install-report.ts";
import type { KeySync } from "../../node/key-sync.ts";
import { restartAdvice } from "../../node/restart-advice.ts";
import type { TenantsOptions } from "../../node/tenants-plan.ts";
import { printable } from "../../text.ts";
import type { Arguments } from "../arguments.ts";
import type { Command } from "../command.ts";
import { renderFindings } from "../findings.ts";
import { OUTPUT_OPTIONS } from "../shared-options.ts";
import type { Style } from "../style.ts";
import { interruptible, type Ui } from "../ui.ts";
import { containerdVersion } from "./config.ts";

/** A changed Secret reaches its volume after a minute or so; a few seconds more do not matter. */
const WATCH_MS = 5_000;

export const INSTALL: Command = {
  name: "install",
  summary: "install the decoder on a node and configure its containerd",
  operands: [],
  options: {
    "dry-run": { help: "only check, and show what would change" },
    restart: { help: "restart containerd if its configuration changed, now or in an earlier run" },
    binary: { value: "FILE", help: "the program to install; default this one" },
    program: {
      value: "PATH",
      help: `where it goes on the node; default ${PROGRAM_PATH}, or /opt/bin if that is read-only`,
    },
    keys: {
      value: "DIR",
      help: "copy the private keys in DIR, and delete earlier copies of keys that DIR no longer has",
    },
    trust: {
      value: "POLICY",
      help: "check signatures by this policy: set up containerd's image verifier and the decoder's gate",
    },
    "keys-only": { help: "copy keys and do nothing else" },
    watch: { help: "copy keys whenever they change, until SIGTERM; implies --keys-only" },
    "keys-path": { value: "DIR", help: `with --keys-only, where they go on the node; default ${KEYS_PATH}` },
    config: {
      value: "FILE",
      help: "containerd's configuration on the node; default that of the running containerd, k3s or RKE2",
    },
    containerd: { value: "VERSION", help: "the containerd that reads it; default the node's" },
    tenants: {
      help: "also isolate tenants: keys from Secrets, seal records, and a gate before each container (docs/tenants.md)",
    },
    kubeconfig: {
      value: "FILE",
      help: "with --tenants, the kubelet's kubeconfig on the node; default at the usual places",
    },
    "node-name": {
      value: "NAME",
      help: "with --tenants, the node's name in Kubernetes; default the one in the kubelet's certificate",
    },
    root: { value: "DIR", help: "where the node's file system is mounted; default /" },
    ...OUTPUT_OPTIONS,
  },
  notes: [
    "First, install checks that the program runs on the node and that containerd's changed configuration is valid. Then it replaces whole files, and keeps the old ones beside them. It undoes all changes if a step fails, at ^C, or if containerd does not come back after --restart.",
    "The exit code is 0 if everything is in place, 3 if only a restart of containerd is missing, else 1. Without --root, it is 0 where no containerd runs. A run with --restart also restarts containerd if an earlier run did not.",
    "With --trust, key files beside the policy are copied if the policy names them in /etc/containerd/ctd-decoder. A later run without --trust keeps the policy, and uninstall removes it.",
    "Servers and agents of k3s and RKE2 are recognised. Flags at the end of a stream processor's args and variables in its env are kept.",
  ],
  examples: [
    { command: "ctd-decoder install --restart", does: "installs this program and restarts containerd" },
    {
      command: "ctd-decoder install --trust policy.json --restart",
      does: "also makes the node refuse images that the policy does not accept",
    },
    { command: "ctd-decoder install --dry-run", does: "checks the node and shows each change as a diff" },
    {
      command: "ctd-decoder install --root /host --keys /keys --restart",
      does: "installs from a pod that mounts the node's file system and a Secret",
    },
  ],
  async run(args, ui) {
    const keys = args.text("keys");
    if (args.flag("watch") || args.flag("keys-only")) {
      if (keys === undefined) throw new DecoderError("USAGE", "--keys-only and --watch need --keys");
      return args.flag("watch") ? await watchKeys(keys, args, ui) : await copyKeys(keys, args, ui);
    }
    if (args.text("keys-path") !== undefined)
      throw new DecoderError("USAGE", "--keys-path needs --keys-only or --watch", {
        hint: "install copies keys to the --decryption-keys-path of the stream processors",
      });
    if (!args.flag("tenants") && (args.text("kubeconfig") ?? args.text("node-name")) !== undefined)
      throw new DecoderError("USAGE", "--kubeconfig and --node-name need --tenants");
    const { install } = await import("../../node/install.ts");
    const [program, configFile, version] = [
      args.nodePath("program"),
      args.nodePath("config"),
      containerdVersion(args),
    ];
    const trust = args.text("trust");
    const options = {
      root: args.text("root") ?? "/",
      binary: resolve(args.text("binary") ?? process.execPath),
      ...(program !== undefined && { program }),
      ...(keys !== undefined && { keys }),
      ...(trust !== undefined && { trust: resolve(trust) }),
      ...(configFile !== undefined && { configFile }),
      ...(version !== undefined && { version }),
      ...(args.flag("tenants") && { tenants: tenantsOptions(args) }),
      restart: args.flag("restart"),
      isDryRun: args.flag("dry-run"),
      environment: process.env,
    };
    const report = await interruptible(async (signal) => await install({ ...options, signal }));
    const isPending = report.restart === "pending" && !report.isDryRun;
    const failure = isPending
      ? restartPending("containerd reads the new configuration only after a restart", report.restartCommand)
      : undefined;
    ui.result(report, () => renderInstall(report, ui.style), failure);
  },
};

function tenantsOptions(args: Arguments): TenantsOptions {
  const [kubeconfig, nodeName] = [args.nodePath("kubeconfig"), args.text("node-name")];
  return {
    ...(kubeconfig !== undefined && { kubeconfig }),
    ...(nodeName !== undefined && { nodeName }),
  };
}

/** @param command how to restart containerd by hand, if that is known */
export function restartPending(message: string, command: string | undefined): DecoderError {
  return new DecoderError("RESTART_PENDING", message, {
    hint: `${restartAdvice(command)}; if it is not running, it reads the configuration when it starts`,
  });
}

async function copyKeys(keys: string, args: Arguments, ui: Ui): Promise<void> {
  const sync = await keySync(keys, args)();
  const failure = sync.kept.length > 0 ? notCopied(sync.kept) : undefined;
  ui.result(sync, () => renderSync(sync, args.flag("dry-run")), failure);
}

/** @throws DecoderError USAGE */
function keySync(keys: string, args: Arguments): () => Promise<KeySync> {
  const path = args.nodePath("keys-path") ?? KEYS_PATH;
  return async () => {
    const { installKeys } = await import("../../node/install.ts");
    return await installKeys(args.text("root") ?? "/", keys, path, args.flag("dry-run"));
  };
}

/** A failure is reported and tried again: the volume may be exchanged at this moment. */
async function watchKeys(keys: string, args: Arguments, ui: Ui): Promise<void> {
  const syncOnce = keySync(keys, args);
  let reported = "";
  const report = (text: string) => {
    if (text !== "" && text !== reported) ui.print(text);
    reported = text;
  };
  const { setTimeout: sleep } = await import("node:timers/promises");
  await interruptible(async (signal) => {
    while (!signal.aborted) {
      try {
        const sync = await syncOnce();
        report(renderSync(sync, false));
      } catch (error) {
        if (!(error instanceof DecoderError)) throw error;
        report(`${printable(error.message)}\n`);
      }
      await sleep(WATCH_MS, undefined, { signal }).catch(() => undefined);
    }
  });
}

function notCopied(names: readonly string[]): DecoderError {
  return new DecoderError(
    "EXISTS",
    `the node has other keys of these names, which were kept: ${names.join(", ")}`,
    {
      hint: "rename one of them",
    },
  );
}

function renderInstall(report: InstallReport, style: Style): string {
  const { files, keys, findings, isDryRun, restart, restartCommand } = report;
  const lines = files.map(({ path, isChanged, diff = "" }) => {
    const verb = isDryRun ? "would write" : "wrote";
    return isChanged
      ? `${verb} ${printable(path)}\n${isDryRun ? diff : ""}`
      : `${printable(path)} is in place\n`;
  });
  const restarts = isDryRun ? wouldRestart(restartCommand) : "";
  return [
    ...lines,
    ...(keys ? [renderKeys(keys, isDryRun)] : []),
    ...(restart === "done" ? ["restarted containerd\n"] : []),
    ...(restart === "pending" ? [restarts] : []),
    ...(findings.length > 0 ? [renderFindings(findings, style)] : []),
  ].join("");
}

export function wouldRestart(command: string | undefined): string {
  return `containerd would need a restart${command === undefined ? "" : `: ${command}`}\n`;
}

function renderSync(sync: KeySync, isDryRun: boolean): string {
  const skipped = sync.skipped.map((name) => `skipped the key ${printable(name)}: it is for signing\n`);
  return renderKeys(sync, isDryRun) + skipped.join("");
}

function renderKeys({ copied, removed, kept }: KeySync, isDryRun: boolean): string {
  const lines = (done: string, would: string, names: readonly string[]) =>
    names.map((name) => `${isDryRun ? `would ${would}` : done} the key ${printable(name)}\n`).join("");
  const warnings = kept
    .map((name) => `kept the node's own key ${printable(name)}: it is not a copy\n`)
    .join("");
  return lines("copied", "copy", copied) + lines("removed", "remove", removed) + warnings;
}
