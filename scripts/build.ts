/**
 * Builds dist/ctd-decoder: one executable with the runtime in it. Fails when the decoder's start would load more than
 * its own code.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, renameSync } from "node:fs";
import { dirname, join } from "node:path";
import { COMPILE_FLAGS } from "./compile-flags.ts";
import { checkHotPath, type Metafile } from "./hot-path.ts";

const root = dirname(import.meta.dirname);
const dist = join(root, "dist");
const target = join(dist, "ctd-decoder");
// Builds that run at the same time stay out of each other's way.
const unfinished = `${target}.${process.pid}.unfinished`;
const metafile = join(dist, "metafile.json");
const unfinishedMetafile = `${metafile}.${process.pid}.unfinished`;

mkdirSync(dist, { recursive: true });
execFileSync(
  join(root, "node_modules/.bin/bun"),
  [
    "build",
    ...COMPILE_FLAGS,
    // Each lazily imported part is a file of its own inside the executable: unused, it costs nothing at start.
    "--splitting",
    // OpenPGP.js in development prints to stdout, which is the layer. Bun's default is development.
    '--define=process.env.NODE_ENV="production"',
    `--metafile=${unfinishedMetafile}`,
    `--outfile=${unfinished}`,
    join(root, "src/main.ts"),
    // Threads' own entries, found inside the executable by their paths below src/.
    join(root, "src/cipher/hmac-worker.ts"),
    join(root, "src/image/layer-worker.ts"),
  ],
  { cwd: dist, stdio: ["ignore", "ignore", "inherit"] },
);
const hotPath = checkHotPath(JSON.parse(readFileSync(unfinishedMetafile, "utf8")) as Metafile);
renameSync(unfinished, target);
renameSync(unfinishedMetafile, metafile);
process.stdout.write(
  `dist/ctd-decoder: a layer loads ${hotPath.modules.length} modules, ${hotPath.bytes} bytes of code\n`,
);
