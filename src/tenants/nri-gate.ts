import { setTimeout as sleep } from "node:timers/promises";
import { type Handler, NriConnection } from "../containerd/nri/connection.ts";
import {
  type NriContainer,
  RUNTIME_SERVICE,
  readConfiguration,
  readContainer,
  registration,
  subscription,
  synchronized,
  verdict,
} from "../containerd/nri/messages.ts";
import { parseContainerdVersion } from "../containerd/version.ts";
import { DecoderError } from "../errors.ts";
import type { SchemeSettings } from "../keywrap/scheme.ts";
import { printable } from "../text.ts";
import { guard } from "./guard.ts";
import { readSettings } from "./settings.ts";

interface NriGateOptions {
  /** NRI's socket. */
  readonly socket: string;
  /** Two digits: plugins are called in this order. */
  readonly index: string;
  /** File with the gate's settings; read again for each container. */
  readonly settingsFile: string;
  readonly schemes: SchemeSettings;
  readonly signal: AbortSignal;
}

/** containerd's namespace of the CRI, to which NRI is connected. */
const NAMESPACE = "k8s.io";
/** containerd's default wait for an answer, and the part of it that is used here. */
const TIMEOUT_MS = 2000;
const SHARE = 0.75;
const REASON_CHARS = 512;
const NOTHING = Buffer.alloc(0);

/**
 * Guards containers as an NRI plugin, until the connection ends or the signal aborts.
 *
 * It validates containers. containerd refuses a container whose validator fails, is killed or is late. A plugin that handles
 * CreateContainer would be dropped then, and the container would start although the plugin is required.
 * @throws DecoderError TENANTS when containerd ends the connection
 */
export async function guardByNri(options: NriGateOptions): Promise<void> {
  let timeoutMs = TIMEOUT_MS;
  const handlers = new Map<string, Handler>([
    [
      "Configure",
      (payload) => {
        const configuration = readConfiguration(payload);
        if (configuration === null) throw malformed();
        checkVersion(configuration.version);
        timeoutMs = configuration.timeoutMs || TIMEOUT_MS;
        return subscription();
      },
    ],
    ["Synchronize", synchronized],
    ["StateChange", () => NOTHING],
    ["Shutdown", () => NOTHING],
    [
      "ValidateContainerAdjustment",
      async (payload) => verdict(await decide(readContainer(payload), timeoutMs, options)),
    ],
  ]);
  const connection = new NriConnection(options.socket, handlers);
  options.signal.addEventListener("abort", () => connection.close(), { once: true });
  await connection.call(RUNTIME_SERVICE, "RegisterPlugin", registration(options.index));
  await connection.ended();
}

/** @returns why the container must not start, or undefined */
async function decide(
  container: NriContainer | null,
  timeoutMs: number,
  { settingsFile, schemes }: NriGateOptions,
): Promise<string | undefined> {
  if (container === null) throw malformed();
  const { id: containerId, pod, mounts } = container;
  const request = { namespace: NAMESPACE, containerId, mounts, pod };
  const deciding = (async () => {
    try {
      await guard(request, readSettings(settingsFile), schemes);
      return undefined;
    } catch (error) {
      return error instanceof DecoderError ? printable(error.message, REASON_CHARS) : "internal error";
    }
  })();
  // The decision goes on, and its verdict is kept for the kubelet's next attempt.
  const late = sleep(timeoutMs * SHARE, "the gate needs more time: the next attempt may succeed", {
    ref: false,
  });
  return await Promise.race([deciding, late]);
}

/** NRI has validators from containerd 2.2 on. */
function checkVersion(text: string): void {
  const version = parseContainerdVersion(text);
  if (version === undefined || version.major > 2 || (version.major === 2 && version.minor >= 2)) return;
  throw new DecoderError(
    "TENANTS",
    `containerd ${printable(text, 32)} starts containers without waiting for a plugin`,
    {
      hint: "put the gate before runc by `ctd-decoder install --tenants`",
    },
  );
}

function malformed(): DecoderError {
  return new DecoderError("TENANTS", "containerd's NRI sent a message that can't be understood");
}
