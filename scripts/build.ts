/** Builds dist/ctd-decoder for this machine. Fails if the decoder's start would load more than its own code. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { packagesIn } from "./bundled-packages.ts";
import { buildExecutable, PROJECT } from "./executable.ts";

const SHOWN = 10;
const dist = join(PROJECT, "dist");

const { hotPath, metafile } = buildExecutable(join(dist, "ctd-decoder"));
writeFileSync(join(dist, "metafile.json"), JSON.stringify(metafile));

const largest = [...packagesIn(metafile)].sort((a, b) => b.bytes - a.bytes).slice(0, SHOWN);
const parts = largest.map(({ name, bytes }) => `${name} ${Math.ceil(bytes / 1024)} KiB`);
process.stdout.write(
  `dist/ctd-decoder: a layer loads ${hotPath.modules.length} modules, ${hotPath.bytes} bytes of code\n` +
    `largest parts: ${parts.join(", ")}\n`,
);
