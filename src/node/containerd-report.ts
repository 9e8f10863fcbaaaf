import { statSync } from "node:fs";
import type { ContainerdConfig } from "../containerd/config.ts";
import { type RunningContainerd, runningContainerds } from "../containerd/process.ts";
import { userId } from "../process/user.ts";
import { attempt } from "./attempt.ts";
import { distributionOf, unitOf } from "./distribution.ts";
import type { Finding } from "./finding.ts";
import { NodeRoot } from "./node-root.ts";
import { NOTHING_INSTALLED, readRecord } from "./record.ts";
import { isStillPending } from "./restart.ts";
import { restartAdvice } from "./restart-advice.ts";
import { Service } from "./service.ts";

/** The running containerd that a report is about. @param configFile the one it was started with; undefined: any */
export function findContainerd(
  configFile: string | undefined,
  findings: Finding[],
  proc = "/proc",
): RunningContainerd | undefined {
  const all = runningContainerds(proc);
  const here = all.filter(({ sharesFiles }) => sharesFiles);
  const [first, ...others] = here.filter((it) => (configFile ?? it.configFile) === it.configFile);
  if (first === undefined) findings.push(notFound(all));
  if (first !== undefined && others.length > 0) {
    findings.push({
      severity: "note",
      message: `several containerds are running; this report is about process ${first.pid}`,
      hint: `name the configuration of another with --config: ${others.map((it) => it.configFile).join(", ")}`,
    });
  }
  return first;
}

function notFound(all: readonly RunningContainerd[]): Finding {
  const elsewhere = all.find(({ sharesFiles }) => !sharesFiles);
  const hint =
    elsewhere !== undefined
      ? `process ${elsewhere.pid} runs in another file system: nsenter -t ${elsewhere.pid} -a ctd-decoder doctor`
      : userId() !== 0
        ? "run it as root: other users may not examine containerd's process"
        : undefined;
  return {
    severity: "warning",
    message: "found no running containerd that shares this process's files",
    ...(hint !== undefined && { hint }),
  };
}

/** containerd reads its configuration once, at start: what changed since, or was installed without a restart. */
export function* pendingRestart(
  running: RunningContainerd | undefined,
  { files }: Pick<ContainerdConfig, "files">,
  node = new NodeRoot("/"),
): Generator<Finding> {
  if (running === undefined) return;
  const { pid, started } = running;
  const service = new Service(node, unitOf(node, distributionOf(node, files[0]?.path)), {});
  const { restartCommand } = service;
  const hint =
    restartCommand === undefined
      ? restartAdvice(restartCommand)
      : `restart it by \`ctd-decoder install --restart\`, or \`${restartCommand}\``;
  // Other users than root may not read the record.
  const record = attempt([], () => readRecord(node)) ?? NOTHING_INSTALLED;
  if (isStillPending(record, running))
    yield {
      severity: "error",
      message: `containerd (process ${pid}) was not restarted since ctd-decoder was installed`,
      hint,
    };
  if (started === undefined) return;
  const changed = files.filter(
    ({ path }) => (statSync(node.follow(path), { throwIfNoEntry: false })?.mtimeMs ?? 0) > started.latest,
  );
  if (changed.length === 0) return;
  yield {
    severity: "error",
    message: `containerd (process ${pid}) started before ${changed.map(({ path }) => path).join(", ")} changed, and still uses the old configuration`,
    hint,
  };
}
