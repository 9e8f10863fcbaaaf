import { DecoderError } from "../errors.ts";
import { type CommandResult, runCommand } from "../process/command.ts";
import * as LIMITS from "../system-limits.ts";
import type { NodeRoot } from "./node-root.ts";
import { programOf } from "./program.ts";
import { restartAdvice } from "./restart-advice.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** The service that runs a node's containerd. */
export class Service {
  readonly unit: string;
  readonly #node: NodeRoot;
  readonly #environment: Environment;

  constructor(node: NodeRoot, unit: string, environment: Environment) {
    this.#node = node;
    this.unit = unit;
    this.#environment = environment;
  }

  /** What an operator types to restart it; undefined if neither systemd nor OpenRC runs the machine. */
  get restartCommand(): string | undefined {
    if (this.#hasOpenRc) return `rc-service ${this.unit} restart`;
    return this.#hasSystemd ? `systemctl restart ${this.unit}` : undefined;
  }

  /** Where an operator reads why it did not start. */
  get logs(): string {
    if (this.#hasOpenRc) return "the service's log in /var/log";
    return this.#hasSystemd ? `\`journalctl --unit ${this.unit}\`` : "containerd's log";
  }

  /** @throws DecoderError NOT_FOUND if the service is missing, UNHEALTHY if the service manager does not answer */
  async check(): Promise<void> {
    const { end, output } = this.#hasOpenRc
      ? await this.#call(LIMITS.serviceStatusMs, "rc-service", "--exists", this.unit)
      : await this.#call(
          LIMITS.serviceStatusMs,
          "systemctl",
          "show",
          "--property=LoadState",
          "--value",
          `${this.unit}.service`,
        );
    const isMissing = Buffer.from(output).toString().trim() === "not-found";
    if (isMissing) throw new DecoderError("NOT_FOUND", `the node has no service ${this.unit}`);
    if (end.kind !== "exit" || end.code !== 0)
      throw new DecoderError("UNHEALTHY", `cannot reach the service ${this.unit}`, {
        hint: this.#withoutRestart,
      });
  }

  /** @returns why it failed; undefined if it succeeded */
  async restart(): Promise<string | undefined> {
    const result = this.#hasOpenRc
      ? await this.#call(LIMITS.serviceRestartMs, "rc-service", this.unit, "restart")
      : await this.#call(LIMITS.serviceRestartMs, "systemctl", "restart", this.unit);
    if (result.end.kind === "exit" && result.end.code === 0) return undefined;
    const lines = Buffer.from(result.errors).toString().trim().split("\n");
    // OpenRC prints its verdict after complaints about folders: " * ERROR: containerd failed to start".
    const line = lines.find((it) => /error/i.test(it)) ?? lines[0];
    return line?.replace(/^[ *]+/, "") || `\`${this.restartCommand ?? "systemctl restart"}\` failed`;
  }

  async isRunning(): Promise<boolean> {
    const { end } = this.#hasOpenRc
      ? await this.#call(LIMITS.serviceStatusMs, "rc-service", this.unit, "status")
      : await this.#call(LIMITS.serviceStatusMs, "systemctl", "is-active", "--quiet", this.unit);
    return end.kind === "exit" && end.code === 0;
  }

  get #withoutRestart(): string {
    return `run without --restart, and ${restartAdvice(this.restartCommand)}`;
  }

  get #hasOpenRc(): boolean {
    return this.#node.exists("/sbin/openrc-run") && !this.#node.exists("/run/systemd/system");
  }

  /** sd_booted(3). Another root may belong to a machine that is not running. */
  get #hasSystemd(): boolean {
    return this.#node.folder !== "" || this.#node.exists("/run/systemd/system");
  }

  /** From a pod, the node's service manager is reached in the namespaces of its first process. */
  async #call(timeoutMs: number, name: string, ...args: string[]): Promise<CommandResult> {
    const isLocal = this.#node.folder === "";
    const [program, prefix] = isLocal
      ? [programOf(name, this.#environment, this.#withoutRestart), []]
      : [
          programOf("nsenter", this.#environment, this.#withoutRestart),
          ["--target", "1", "--mount", "--pid", "--", name],
        ];
    return await runCommand(program, [...prefix, ...args], {
      environment: this.#environment,
      timeoutMs,
      outputBytes: LIMITS.nodeOutputBytes,
      errorBytes: LIMITS.nodeOutputBytes,
    });
  }
}
