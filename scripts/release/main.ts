/**
 * Makes a release in dist/release: executables, Debian packages, an OCI image, npm packages, bills of materials,
 * provenance and sums.
 *
 *   npm run release                      unsigned
 *   npm run release -- --key FILE        signed with a PEM private key
 *   npm run release -- --check           made twice in different folders, compared, and tried out
 */
import { join } from "node:path";
import { parseArgs } from "node:util";
import { PROJECT } from "../executable.ts";
import { makeRelease } from "./release.ts";

const { values } = parseArgs({ options: { key: { type: "string" }, check: { type: "boolean" } } });
const folder = join(PROJECT, "dist/release");

if (values.check) {
  const { checkRelease } = await import("./check.ts");
  process.exitCode = (await checkRelease(folder)) ? 0 : 1;
} else {
  await makeRelease(folder, values.key);
}
