import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { onTestFinished } from "vitest";

/**
 * A process that /proc shows as a containerd with this configuration. It ends with the test.
 * @param searchPath its PATH
 */
export async function startFakeContainerd(configFile: string, searchPath: string): Promise<ChildProcess> {
  // The name of a shell's program stays in its arguments, where a flag precedes it.
  const script = "echo containerd >/proc/$$/comm; echo ready; read line";
  const child = spawn("/bin/sh", ["-c", script, "--config", configFile], {
    env: { PATH: searchPath },
    stdio: ["pipe", "pipe", "ignore"],
  });
  onTestFinished(async () => {
    child.stdin?.end();
    if (child.exitCode === null) await once(child, "exit");
  });
  await once(child.stdout as NonNullable<typeof child.stdout>, "data");
  return child;
}
