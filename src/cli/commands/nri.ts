import { DecoderError } from "../../errors.ts";
import { SETTINGS_FILE } from "../../tenants/places.ts";
import type { Command } from "../command.ts";
import { OUTPUT_OPTIONS, schemeSettings } from "../shared-options.ts";
import { interruptible } from "../ui.ts";

/** containerd's default. */
const NRI_SOCKET = "/var/run/nri/nri.sock";
const INDEX = "10";

export const NRI: Command = {
  name: "nri",
  summary: "guard the containers of tenants as an NRI plugin of containerd",
  operands: [],
  options: {
    socket: { value: "PATH", help: `NRI's socket; default ${NRI_SOCKET}` },
    index: { value: "NN", help: `two digits: plugins are called in this order; default ${INDEX}` },
    settings: { value: "FILE", help: `the gate's settings; default ${SETTINGS_FILE}` },
    ...OUTPUT_OPTIONS,
  },
  notes: [
    "Makes the same decisions as the gate before runc, for containers of every runtime. It needs containerd 2.2 or newer, and required_plugins in containerd's configuration: without it, containers start when the plugin does not run (docs/tenants.md).",
    "Runs until SIGTERM, or until containerd ends the connection. Start it as a service that starts it again: a DaemonSet could not start, because containerd starts no container without the plugin.",
  ],
  examples: [{ command: "ctd-decoder nri", does: "connects to the containerd that runs on this node" }],
  async run(args) {
    const index = args.text("index") ?? INDEX;
    if (!/^\d\d$/.test(index)) throw new DecoderError("USAGE", "--index takes two digits");
    const { guardByNri } = await import("../../tenants/nri-gate.ts");
    await interruptible(async (signal) => {
      await guardByNri({
        socket: args.text("socket") ?? NRI_SOCKET,
        index,
        settingsFile: args.text("settings") ?? SETTINGS_FILE,
        schemes: schemeSettings(args),
        signal,
      });
    });
  },
};
