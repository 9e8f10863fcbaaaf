import { connect } from "node:net";
import { goField, isObject, parseJsonObject } from "../encoding/json.ts";
import { describeSystemError, errnoOf } from "../errors.ts";
import { readSmallFile } from "../io/file.ts";
import { findExecutable } from "../process/find-executable.ts";
import * as LIMITS from "../system-limits.ts";
import type { Finding } from "./finding.ts";

export interface ProviderReport {
  readonly path: string;
  readonly providers: readonly ProviderRow[];
  readonly findings: readonly Finding[];
}

interface ProviderRow {
  readonly name: string;
  /** Path of the command, or address of the service. */
  readonly where: string;
  /** Why it cannot be used. */
  readonly problem?: string;
}

const CONNECT_MS = 3000;
const MAX_PORT = 65_535;

/** Checks that each key provider of a configuration is reachable: its command exists, or its address accepts connections. */
export async function reportProviders(path: string, searchPath: string): Promise<ProviderReport> {
  let bytes: Uint8Array;
  try {
    bytes = readSmallFile(path, LIMITS.configBytes);
  } catch (error) {
    // containerd's built-in processors name a file that most nodes do not have.
    if (errnoOf(error) === "ENOENT") return { path, providers: [], findings: [] };
    return broken(path, `cannot be read: ${describeSystemError(error)}`);
  }
  const configured = goField(parseJsonObject(bytes), "key-providers");
  if (!isObject(configured)) return broken(path, "is not a JSON object with key-providers");
  const providers: ProviderRow[] = [];
  for (const [name, value] of Object.entries(configured))
    providers.push({ name, ...(await look(value, searchPath)) });
  const findings = providers.flatMap(({ name, where, problem }): Finding[] =>
    problem === undefined
      ? []
      : [{ severity: "error", message: `the key provider ${name} (${where}) ${problem}` }],
  );
  return { path, providers, findings };
}

function broken(path: string, problem: string): ProviderReport {
  return { path, providers: [], findings: [{ severity: "error", message: `${path} ${problem}` }] };
}

async function look(value: unknown, searchPath: string): Promise<Omit<ProviderRow, "name">> {
  const command = goField(goField(value, "cmd"), "path");
  if (typeof command === "string") {
    const found = findExecutable(command, searchPath) !== undefined;
    return { where: command, ...(!found && { problem: "is not an executable" }) };
  }
  const address = goField(value, "grpc");
  if (typeof address !== "string") return { where: "?", problem: "has neither cmd nor grpc" };
  const problem = await unreachable(address);
  return { where: address, ...(problem !== undefined && { problem }) };
}

/** Why "host:port" or "unix:///path" accepts no connection; undefined if it does. */
async function unreachable(address: string): Promise<string | undefined> {
  const [, unixPath] = /^unix:(?:\/\/)?(\/.*)$/.exec(address) ?? [];
  const [, host = "", port] = /^(?:dns:\/\/\/)?\[?(.*?)\]?:(\d{1,5})$/.exec(address) ?? [];
  if (unixPath === undefined && !(Number(port) <= MAX_PORT)) return "has an address that is not host:port";
  return await new Promise((resolve) => {
    const socket = unixPath === undefined ? connect(Number(port), host) : connect(unixPath);
    const done = (problem?: string) => {
      socket.destroy();
      resolve(problem);
    };
    socket.setTimeout(CONNECT_MS, () => done("does not answer"));
    socket.on("connect", () => done());
    socket.on("error", (error) => done(`cannot be reached: ${describeSystemError(error)}`));
  });
}
