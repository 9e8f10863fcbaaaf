/** Rows of images in a registry, compared with skopeo: from repository to repository of a docker-registry on this machine. */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { startDockerRegistry } from "../../test/support/docker-registry.ts";
import { registry, skopeoNew } from "../../test/support/peers.ts";
import { writeImage } from "./images.ts";
import { type CommandLine, measured, settle, type Taken } from "./programs.ts";
import { atMost, type Line, type Row } from "./row.ts";
import { MiB } from "./units.ts";
import type { Workspace } from "./workspace.ts";

type Work = "encrypt" | "decrypt" | "rewrap";

export const REGISTRY_ROWS: readonly Row[] = [
  row("encrypt", "encrypt from registry to registry, 512 MiB", { wall: 0.8, cpu: 1 }),
  row("decrypt", "decrypt from registry to registry, 512 MiB", { wall: 0.8, cpu: 1 }),
  row("rewrap", "change recipients in place, 512 MiB; skopeo decrypts and encrypts", {
    wall: 0.05,
    cpu: 0.05,
  }),
];

function row(work: Work, title: string, goals: Taken): Row {
  const lines: readonly Line[] = [
    { title, of: "ours", over: "skopeo", goal: atMost(goals.wall) },
    { title: `${title}, processor time`, of: "ours, cpu", over: "skopeo, cpu", goal: atMost(goals.cpu) },
  ];
  return {
    id: `registry-${work}`,
    unit: "ms",
    rounds: 5,
    option: "registry",
    lines,
    prepare: (it) => prepare(work, it),
  };
}

async function prepare(work: Work, workspace: Workspace): ReturnType<Row["prepare"]> {
  if (registry.absent !== undefined) throw new Error(registry.absent);
  const folder = workspace.newFolder(`registry-${work}`);
  const server = await startDockerRegistry(join(folder, "registry"));
  const source = join(folder, "image");
  await writeImage(source, "plain", [{ bytes: 512 * MiB, compression: "none" }]);
  const { folder: keys, recipients } = await workspace.keys();
  const names = { host: server.host, recipient: `jwe:${recipients[0]}`, key: join(keys, "000.pem") };
  const { ours, skopeo, setUp } = commandsOf(work, workspace.ours, names);
  for (const command of setUp(`oci:${source}:plain`)) measured(command);
  // Each round writes to new repositories, because the old ones have the blobs of earlier rounds.
  let round = 0;
  const last: Record<string, Taken> = {};
  const race = (name: string, commands: (round: number) => readonly CommandLine[]) => () => {
    settle();
    round += 1;
    const taken = commands(round).map((command) => measured(command));
    const sum = (part: keyof Taken) => taken.reduce((total, it) => total + it[part], 0);
    last[name] = { wall: sum("wall"), cpu: sum("cpu") };
    return last[name].wall;
  };
  return {
    contestants: {
      ours: race("ours", ours),
      skopeo: race("skopeo", skopeo),
      "ours, cpu": () => last["ours"]?.cpu ?? Number.NaN,
      "skopeo, cpu": () => last["skopeo"]?.cpu ?? Number.NaN,
    },
    end: async () => {
      await server.stop();
      rmSync(folder, { recursive: true });
    },
  };
}

interface Names {
  readonly host: string;
  readonly recipient: string;
  readonly key: string;
}

interface Commands {
  /** The commands of a round, run one after the other. */
  ours(round: number): readonly CommandLine[];
  skopeo(round: number): readonly CommandLine[];
  setUp(image: string): readonly CommandLine[];
}

function commandsOf(work: Work, program: string, { host, recipient, key }: Names): Commands {
  const at = (name: string) => `docker://${host}/${name}`;
  const copy = (...args: readonly string[]): CommandLine => [
    skopeoNew.command,
    ...[
      ...skopeoNew.args,
      "--insecure-policy",
      "copy",
      "--quiet",
      "--src-tls-verify=false",
      "--dest-tls-verify=false",
    ],
    // skopeo would look for the blobs of earlier rounds and mount them.
    ...["--dest-oci-accept-uncompressed-layers", ...args],
  ];
  const own = (...args: readonly string[]): CommandLine => [program, ...args];
  const [encrypted, plain] = [at("encrypted:v1"), at("plain:v1")];
  const setUp = (image: string) => [
    copy(image, plain),
    copy("--encryption-key", recipient, plain, encrypted),
  ];
  if (work === "encrypt") {
    return {
      setUp,
      ours: (round) => [
        own("encrypt", "-q", "--plain-http", "--recipient", recipient, plain, at(`ours-${round}:v1`)),
      ],
      skopeo: (round) => [copy("--encryption-key", recipient, plain, at(`skopeo-${round}:v1`))],
    };
  }
  if (work === "decrypt") {
    return {
      setUp,
      ours: (round) => [
        own("decrypt", "-q", "--plain-http", "--key", key, encrypted, at(`ours-${round}:v1`)),
      ],
      skopeo: (round) => [copy("--decryption-key", key, encrypted, at(`skopeo-${round}:v1`))],
    };
  }
  return {
    setUp,
    ours: () => [
      own(
        "rewrap",
        "-q",
        "--force",
        "--plain-http",
        "--key",
        key,
        "--recipient",
        recipient,
        encrypted,
        encrypted,
      ),
    ],
    skopeo: (round) => [
      copy("--decryption-key", key, encrypted, at(`between-${round}:v1`)),
      copy("--encryption-key", recipient, at(`between-${round}:v1`), at(`skopeo-${round}:v1`)),
    ],
  };
}
