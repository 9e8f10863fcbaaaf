/** Builds every file of a release from the current sources. */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  copyFileSync,
  createReadStream,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { signBytes, signStatement } from "../../src/trust/sign/artifacts.ts";
import { readSigningKey } from "../../src/trust/sign/cosign-key.ts";
import { buildExecutable, PROJECT } from "../executable.ts";
import { type Component, componentsOf } from "./components.ts";
import { writeDebianPackage } from "./debian.ts";
import { IMAGE_PACKAGES, writeImage } from "./image.ts";
import { lockedPackage, ownVersion } from "./lock-file.ts";
import { noticesOf } from "./notices.ts";
import { writeNpmPackages } from "./npm-packages.ts";
import { compilePkcs11Module } from "./pkcs11-module.ts";
import { provenanceOf, type Source } from "./provenance.ts";
import { fetchRuntime } from "./runtime.ts";
import { cycloneDx, spdx } from "./sbom.ts";
import { executableName, type ReleaseTarget, TARGETS } from "./targets.ts";

interface Built {
  readonly target: ReleaseTarget;
  /** Path of the executable. */
  readonly path: string;
  readonly components: readonly Component[];
}

/** The image has the C library of this suite, the oldest that is still supported. */
export const SUITE = "bookworm";
export const SUMS = "SHA256SUMS";
/** The signed provenance: a Sigstore bundle. */
export const ATTESTATION = "provenance.sigstore.json";
const cache = join(PROJECT, ".peers");

/**
 * @param folder is emptied first
 * @param keyFile PEM private key (PKCS#8, EC P-256) that signs the sums; undefined leaves the release unsigned
 */
export async function makeRelease(folder: string, keyFile: string | undefined): Promise<void> {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const source = sourceOf();
  const builds = TARGETS.map((target) => build(target, folder));
  const notices = noticesOf(union(builds.map(({ components }) => components)));
  writeFileSync(join(folder, "THIRD_PARTY_NOTICES.txt"), notices);
  for (const name of ["runc-gate", "ctd-decoder-nri.service"])
    copyFileSync(join(PROJECT, "deploy", name), join(folder, name));
  for (const it of builds) await writeSboms(it, source);
  const glibc = builds.filter(({ target }) => target.libc === "glibc");
  writeDebianPackages(glibc, folder, { notices, source });
  await writeImageOf(glibc, folder, { notices, source });
  const platforms = builds.map(({ target, path }) => ({ target, executable: path }));
  writeNpmPackages(folder, source.version, platforms);
  const runtimes = TARGETS.map(({ runtimePackage }) => runtimeOf(runtimePackage));
  const provenance = `${JSON.stringify(provenanceOf(await filesIn(folder), source, runtimes), null, 2)}\n`;
  writeFileSync(join(folder, "provenance.json"), provenance);
  const sums = (await filesIn(folder)).map(({ name, sha256 }) => `${sha256}  ${name}\n`).join("");
  writeFileSync(join(folder, SUMS), sums);
  if (keyFile !== undefined) signRelease(folder, keyFile);
}

/** Adds the files that differ from build to build, because ECDSA signatures do. */
function signRelease(folder: string, keyFile: string): void {
  const key = readSigningKey(readFileSync(keyFile), undefined, keyFile);
  for (const name of [SUMS, ...readdirSync(folder).filter((it) => it.endsWith("image.tar"))]) {
    const signature = signBytes(readFileSync(join(folder, name)), key);
    writeFileSync(join(folder, `${name}.sig`), Buffer.from(signature).toString("base64"));
  }
  const provenance = readFileSync(join(folder, "provenance.json"));
  writeFileSync(join(folder, ATTESTATION), signStatement(provenance, key));
}

function sourceOf(): Source {
  const git = (...args: string[]) => execFileSync("git", args, { cwd: PROJECT, encoding: "utf8" }).trim();
  const seconds = Number(git("log", "-1", "--format=%ct"));
  const created = new Date(seconds * 1000).toISOString().replace(".000Z", "Z");
  return { commit: git("rev-parse", "HEAD"), created, version: ownVersion() };
}

function build(target: ReleaseTarget, folder: string): Built {
  const path = join(folder, executableName(target));
  const runtime = fetchRuntime(target, join(cache, "runtimes"));
  const modules = join(folder, ".modules");
  try {
    const pkcs11Module = compilePkcs11Module(target, modules);
    const { metafile } = buildExecutable(path, { ...target, runtime, pkcs11Module });
    return { target, path, components: componentsOf(metafile, target) };
  } finally {
    rmSync(modules, { recursive: true, force: true });
  }
}

async function writeSboms({ target, path, components }: Built, { version, created }: Source): Promise<void> {
  const subject = { name: executableName(target), version, sha256: await sha256Of(path), created };
  writeFileSync(`${path}.cdx.json`, `${JSON.stringify(cycloneDx(subject, components), null, 2)}\n`);
  writeFileSync(`${path}.spdx.json`, `${JSON.stringify(spdx(subject, components), null, 2)}\n`);
}

interface Packaged {
  readonly notices: string;
  readonly source: Source;
}

/** Manual page and completions come from the x64 build, which runs here; they are the same for all. */
function writeDebianPackages(builds: readonly Built[], folder: string, { notices, source }: Packaged): void {
  const native = builds.find(({ target }) => target.cpu === process.arch);
  if (native === undefined) throw new Error(`a release is made on x64 or arm64, not on ${process.arch}`);
  const print = (...args: string[]) => execFileSync(native.path, args);
  const manualPage = print("man");
  const completions = {
    bash: print("completion", "bash"),
    zsh: print("completion", "zsh"),
    fish: print("completion", "fish"),
  };
  const epoch = Date.parse(source.created) / 1000;
  for (const { target, path } of builds) {
    const { version } = source;
    const name = `ctd-decoder_${version}_${target.architecture}.deb`;
    const content = { architecture: target.architecture, version, executable: path, notices, epoch };
    writeDebianPackage(join(folder, name), { ...content, manualPage, completions });
  }
}

async function writeImageOf(
  builds: readonly Built[],
  folder: string,
  { notices, source }: Packaged,
): Promise<void> {
  const parts = builds.map(({ target: { architecture }, path }) => {
    const debian = debianFolder(architecture);
    const unpack = join(PROJECT, "scripts/debian-unpack");
    execFileSync(unpack, [SUITE, architecture, debian, ...IMAGE_PACKAGES], {
      stdio: ["ignore", "ignore", "inherit"],
    });
    return { architecture, executable: path, debian, notices };
  });
  const { version, created, commit } = source;
  await writeImage(join(folder, `ctd-decoder-${version}-image.tar`), parts, {
    version,
    created,
    revision: commit,
  });
}

/** Where the image's Debian packages are unpacked, from one release to the next. */
export function debianFolder(architecture: ReleaseTarget["architecture"]): string {
  return join(cache, `image-${architecture}`);
}

function runtimeOf(name: string): { uri: string; sha512: string } {
  const { version, integrity } = lockedPackage(`node_modules/${name}`);
  const sha512 = Buffer.from(integrity.slice("sha512-".length), "base64").toString("hex");
  return { uri: `pkg:npm/${name.replace("@", "%40")}@${version}`, sha512 };
}

function union(lists: readonly (readonly Component[])[]): Component[] {
  return [...new Map(lists.flat().map((it) => [it.purl, it])).values()];
}

/** The files of a release so far, by name. */
async function filesIn(folder: string): Promise<{ name: string; sha256: string }[]> {
  const names = readdirSync(folder).sort();
  return await Promise.all(names.map(async (name) => ({ name, sha256: await sha256Of(join(folder, name)) })));
}

async function sha256Of(path: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(path), hash);
  return hash.digest("hex");
}
