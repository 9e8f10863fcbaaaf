/** Rows of single layers. Small layers measure the start, large ones SHA-256. */
import { join } from "node:path";
import { openssl } from "../../test/support/peers.ts";
import { writeKeys, writeLayer } from "./inputs.ts";
import {
  type CommandLine,
  check,
  forget,
  timeAsContainerd,
  timeOf,
  timeOnFiles,
  timeThroughPipes,
} from "./programs.ts";
import { atMost, type Line, type Row } from "./row.ts";
import { GiB, KiB, MiB } from "./units.ts";

/** Layers of this size take so long that a shell and two more processes do not matter. */
const PIPED_BYTES = 64 * MiB;

interface Size {
  readonly bytes: number;
  readonly name: string;
  readonly rounds: number;
  readonly option?: "large";
  readonly lines: readonly Line[];
}

const versusGo = (name: string, limit: number): Line => ({ ...shown(name), goal: atMost(limit) });
/** The time of a program that only copies is subtracted from both. */
const netOfHarness = (name: string, limit?: number): Line => ({
  ...shown(name),
  beyond: "harness",
  ...(limit !== undefined && { goal: atMost(limit) }),
});
/** openssl reads a file and writes almost nothing. The processes at the other ends of a decoder's pipes cost processor time. */
const versusSha256 = (title: string, of: string): Line => ({
  title,
  of,
  over: "sha256",
  goal: { kind: "rate at least", limit: 0.85 },
});
const shown = (name: string): Line => ({ title: `${name} layer`, of: "ours", over: "go" });

/** Each contestant's time is a point in the plot. */
const SIZES: readonly Size[] = [
  { bytes: 4 * KiB, name: "4 KiB", rounds: 60, lines: [netOfHarness("4 KiB", 1)] },
  { bytes: 64 * KiB, name: "64 KiB", rounds: 20, lines: [netOfHarness("64 KiB")] },
  { bytes: 256 * KiB, name: "256 KiB", rounds: 20, lines: [netOfHarness("256 KiB")] },
  { bytes: MiB, name: "1 MiB", rounds: 60, lines: [netOfHarness("1 MiB", 1)] },
  { bytes: 4 * MiB, name: "4 MiB", rounds: 20, lines: [netOfHarness("4 MiB")] },
  { bytes: 16 * MiB, name: "16 MiB", rounds: 40, lines: [netOfHarness("16 MiB", 0.7)] },
  { bytes: 64 * MiB, name: "64 MiB", rounds: 12, lines: [shown("64 MiB")] },
  {
    bytes: 512 * MiB,
    name: "512 MiB",
    rounds: 40,
    lines: [
      versusGo("512 MiB", 0.5),
      {
        title: "512 MiB layer, its blob open as containerd has it",
        of: "fromBlob",
        over: "go",
        goal: atMost(0.5),
      },
      { title: "512 MiB layer, --release=stream", of: "stream", over: "go", goal: atMost(0.6) },
      versusSha256("512 MiB layer, --release=stream, rate", "stream"),
      versusSha256("512 MiB layer, --release=stream, rate on files", "onFiles"),
      { title: "limit: SHA-256 of 512 MiB", of: "sha256" },
    ],
  },
  { bytes: 10 * GiB, name: "10 GiB", rounds: 3, option: "large", lines: [shown("10 GiB")] },
];

const layerRows: readonly Row[] = SIZES.map(({ name, ...row }) => ({
  ...row,
  id: `layer-${name.replace(" ", "")}`,
  unit: "ms",
  prepare: async (workspace) => {
    const layer = await workspace.layer(row.bytes);
    const { ours, stream, go } = await workspace.decoders();
    for (const decoder of [ours, stream, go]) check(decoder, layer);
    const isPiped = row.bytes >= PIPED_BYTES;
    const time = isPiped ? timeThroughPipes : timeAsContainerd;
    const isTold = (name: string) => row.lines.some(({ of }) => of === name);
    return {
      contestants: {
        ours: () => time(ours, layer, workspace.folder),
        go: () => time(go, layer, workspace.folder),
        stream: () => time(stream, layer, workspace.folder),
        ...(isTold("fromBlob") && {
          fromBlob: () => timeThroughPipes(ours, layer, workspace.folder, { isOpen: true }),
        }),
        ...(isTold("onFiles") && { onFiles: () => timeOnFiles(stream, layer, workspace.folder) }),
        ...(!isPiped && { harness: () => time(["/bin/cat"], layer, workspace.folder) }),
        sha256: () => timeOf([openssl.command, "dgst", "-sha256", layer.path], workspace.folder),
      },
    };
  },
}));

/** Smaller layers once more. The kernel may hold executables that it read from the disk in other pieces than copies. */
const rereadRows: readonly Row[] = SIZES.filter(
  ({ bytes, lines }) => bytes < PIPED_BYTES && lines.some(({ goal }) => goal !== undefined),
).map(({ bytes, name, rounds, lines }) => ({
  id: `reread-${name.replace(" ", "")}`,
  unit: "ms",
  rounds,
  lines: lines.map((line) => ({ ...line, title: `${line.title}, executables read again` })),
  prepare: async (workspace) => {
    const layer = await workspace.layer(bytes);
    const { ours, go } = await workspace.decodersOnDisk();
    const time = (command: CommandLine) => () => timeAsContainerd(command, layer, workspace.folder);
    return { contestants: { ours: time(ours), go: time(go), harness: time(["/bin/cat"]) } };
  },
}));

const startRow: Row = {
  id: "start",
  unit: "ms",
  rounds: 60,
  lines: [
    { title: "limit: an empty Bun executable", of: "empty" },
    { title: "the harness itself: /bin/true", of: "harness" },
  ],
  prepare: async (workspace) => {
    const empty = workspace.emptyExecutable();
    return {
      contestants: {
        empty: () => timeOf(empty, workspace.folder),
        harness: () => timeOf(["/bin/true"], workspace.folder),
      },
    };
  },
};

const coldRow: Row = {
  id: "cold",
  unit: "ms",
  rounds: 40,
  lines: [{ ...shown("4 KiB"), title: "4 KiB layer, executable read from the disk", goal: atMost(1.6) }],
  prepare: async (workspace) => {
    const layer = await workspace.layer(4 * KiB);
    const { ours, go } = await workspace.decodersOnDisk();
    const coldTime = (decoder: CommandLine) => {
      forget(decoder[0]);
      return timeOnFiles(decoder, layer, workspace.folder);
    };
    return { contestants: { ours: () => coldTime(ours), go: () => coldTime(go) } };
  },
};

const keyRows: readonly Row[] = (["rsa", "ec"] as const).map((kind) => ({
  id: `keys-${kind}`,
  unit: "ms",
  rounds: 40,
  lines: [
    {
      title: `100 wrong keys + 1 right, 20 recipients, ${kind === "rsa" ? "RSA-2048" : "P-256"}`,
      of: "ours",
      over: "go",
      goal: atMost(0.3),
    },
  ],
  prepare: async (workspace) => {
    const folder = workspace.newFolder(`keys-${kind}`);
    const keys = await writeKeys(join(folder, "keys"), kind, 100, 20);
    const layer = await writeLayer(folder, 4 * KiB, keys.recipients);
    const { ours, go } = workspace.decodersWith(keys);
    for (const decoder of [ours, go]) check(decoder, layer);
    return {
      contestants: {
        ours: () => timeOnFiles(ours, layer, folder),
        go: () => timeOnFiles(go, layer, folder),
      },
    };
  },
}));

const parallelRow: Row = {
  id: "parallel",
  unit: "ms",
  rounds: 8,
  lines: [{ title: "8 decoders at once, 64 MiB each", of: "ours", over: "go", goal: atMost(0.8) }],
  prepare: async (workspace) => {
    const layer = await workspace.layer(64 * MiB);
    const { ours, go } = await workspace.decoders();
    return {
      contestants: {
        ours: () => timeThroughPipes(ours, layer, workspace.folder, { times: 8 }),
        go: () => timeThroughPipes(go, layer, workspace.folder, { times: 8 }),
      },
    };
  },
};

export const DECODING: readonly Row[] = [
  startRow,
  coldRow,
  ...layerRows,
  ...rereadRows,
  ...keyRows,
  parallelRow,
];
