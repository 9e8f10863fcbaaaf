import type { UninstallReport } from "../../node/uninstall.ts";
import { printable } from "../../text.ts";
import type { Command } from "../command.ts";
import { renderFindings } from "../findings.ts";
import { OUTPUT_OPTIONS } from "../shared-options.ts";
import type { Style } from "../style.ts";
import { restartPending, wouldRestart } from "./install.ts";

export const UNINSTALL: Command = {
  name: "uninstall",
  summary: "undo an installation on a node",
  operands: [],
  options: {
    "dry-run": { help: "only show what would change" },
    restart: { help: "restart containerd if its configuration changed" },
    "keep-keys": { help: "keep the keys that install copied" },
    root: { value: "DIR", help: "where the node's file system is mounted; default /" },
    ...OUTPUT_OPTIONS,
  },
  notes: [
    "Restores every file that install replaced, byte for byte, and removes what it added. An edited file keeps its edits. An edited ctd-decoder.toml is renamed to ctd-decoder.toml.edited. Keys that install did not copy are kept.",
    "The exit code is 0 if everything is undone, 3 if only a restart of containerd is missing, else 1.",
  ],
  examples: [
    { command: "ctd-decoder uninstall --restart", does: "restores the node and restarts containerd" },
  ],
  async run(args, ui) {
    const { uninstall } = await import("../../node/uninstall.ts");
    const report = await uninstall({
      root: args.text("root") ?? "/",
      keepsKeys: args.flag("keep-keys"),
      restart: args.flag("restart"),
      isDryRun: args.flag("dry-run"),
      environment: process.env,
    });
    const failure =
      report.restart === "pending" && !report.isDryRun
        ? restartPending("containerd drops the old configuration only after a restart", report.restartCommand)
        : undefined;
    ui.result(report, () => renderUninstall(report, ui.style), failure);
  },
};

type Action = UninstallReport["files"][number]["action"];

/** What a dry run says would be done. */
const WOULD: Readonly<Record<Action, string>> = {
  restored: "restore",
  removed: "remove",
  edited: "edit",
  kept: "keep",
  emptied: "empty",
};

function renderUninstall(report: UninstallReport, style: Style): string {
  const { files, keys, findings, isDryRun, restart, restartCommand } = report;
  if (files.length === 0 && keys.length === 0 && restart === "not needed") return "nothing is installed\n";
  const verb = (action: Action) => (isDryRun ? `would ${WOULD[action]}` : action);
  const restarts = isDryRun ? [wouldRestart(restartCommand)] : [];
  return [
    ...files.map(({ path, action }) => `${verb(action)} ${printable(path)}\n`),
    ...keys.map((name) => `${verb("removed")} the key ${printable(name)}\n`),
    ...(restart === "done" ? ["restarted containerd\n"] : []),
    ...(restart === "pending" ? restarts : []),
    ...(findings.length > 0 ? [renderFindings(findings, style)] : []),
  ].join("");
}
