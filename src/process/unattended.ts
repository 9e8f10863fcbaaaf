import { spawn } from "node:child_process";

/**
 * Starts a program that outlives this process: in a session of its own, with an empty environment, and without this
 * process's standard input, standard error and other descriptors. Never throws: where no process can be started, the
 * caller's own work goes on.
 * @param output "inherit" lets the program hold this process's standard output
 */
export function startUnattended(
  program: string,
  args: readonly string[],
  output: "ignore" | "inherit" = "ignore",
): void {
  try {
    const child = spawn(program, args, {
      // Descriptor 3 is the payload's. Its writer must see that the reader is gone.
      stdio: ["ignore", output, "ignore", "ignore"],
      detached: true,
      cwd: "/",
      env: {},
    });
    child.on("error", () => {});
    child.unref();
  } catch {
    // The runtimes throw some errors of exec and emit the others.
  }
}
