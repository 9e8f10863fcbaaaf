/** Builds a release twice, compares the two, and tests its files. Needs Debian, root and the peers. */
import { execFileSync } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Spec, Validation } from "@cyclonedx/cyclonedx-library";
import parseExpression from "spdx-expression-parse";
import { Node, REGISTRY } from "../../test/containerd/node.ts";
import { testedRelease } from "../../test/containerd/release.ts";
import { PROJECT } from "../executable.ts";
import { ATTESTATION, debianFolder, makeRelease, SUITE, SUMS } from "./release.ts";

interface Check {
  readonly name: string;
  /** @throws Error if the release is wrong */
  readonly run: () => void | Promise<void>;
}

const PEERS = join(PROJECT, ".peers");
const COSIGNS = ["cosign-2", "cosign-3"].map((name) => join(PEERS, name, "root/usr/bin/cosign"));
const PACKAGES = ["lintian", "skopeo", "umoci", "qemu-user-static", "g++", "g++-aarch64-linux-gnu", "musl"];

/** @returns whether every check passes; each check prints a line */
export async function checkRelease(folder: string): Promise<boolean> {
  run(join(PROJECT, "scripts/debian-packages"), PACKAGES);
  const work = mkdtempSync(join(tmpdir(), "ctd-release-"));
  try {
    const keys = generateKeyPairSync("ec", { namedCurve: "P-256" });
    writeFileSync(join(work, "key.pem"), keys.privateKey.export({ type: "pkcs8", format: "pem" }));
    writeFileSync(join(work, "key.pub"), keys.publicKey.export({ type: "spki", format: "pem" }));
    await makeRelease(folder, join(work, "key.pem"));
    let failures = 0;
    for (const check of checks(folder, work)) failures += (await passes(check)) ? 0 : 1;
    return failures === 0;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

async function passes({ name, run }: Check): Promise<boolean> {
  try {
    await run();
    process.stdout.write(`ok    ${name}\n`);
    return true;
  } catch (error) {
    process.stdout.write(`FAIL  ${name}: ${error instanceof Error ? error.message : String(error)}\n`);
    return false;
  }
}

function checks(folder: string, work: string): Check[] {
  const names = readdirSync(folder);
  const path = (suffix: string) => join(folder, names.find((name) => name.endsWith(suffix)) ?? suffix);
  const x64 = path("linux-x64");
  const arm64 = emulated(
    join(work, "arm64"),
    "aarch64",
    join(debianFolder("arm64"), "root"),
    path("linux-arm64"),
  );
  const oldest = emulated(join(work, "oldest"), "x86_64", "/", x64, "Nehalem");
  const musl = onMusl(join(work, "musl"), path("linux-x64-musl"), {
    machine: "x86_64",
    root: "/",
    compiler: "gcc",
    glibcLoader: "ld-linux-x86-64.so.2",
    emulator: [],
  });
  const muslRoot = join(PEERS, "musl-arm64");
  run(join(PROJECT, "scripts/debian-unpack"), [SUITE, "arm64", muslRoot, "musl", "libstdc++6"]);
  const arm64Musl = onMusl(join(work, "musl-arm64"), path("linux-arm64-musl"), {
    machine: "aarch64",
    root: join(muslRoot, "root"),
    compiler: "aarch64-linux-gnu-gcc",
    glibcLoader: "ld-linux-aarch64.so.1",
    emulator: ["qemu-aarch64-static", "-cpu", "max"],
  });
  return [
    { name: "every sum is right", run: () => void run("sha256sum", ["--check", "--quiet", SUMS], folder) },
    {
      name: "sums, image and provenance hold for our own commands and for cosign",
      run: () => signatures(x64, folder, work),
    },
    {
      name: "another folder, time zone and user give the same bytes",
      run: () => sameElsewhere(folder, work),
    },
    ...names
      .filter((it) => it.endsWith(".cdx.json"))
      .map((it) => ({ name: `${it} obeys CycloneDX 1.6`, run: () => cycloneDx(join(folder, it)) })),
    ...names
      .filter((it) => it.endsWith(".spdx.json"))
      .map((it) => ({ name: `${it} names SPDX licences`, run: () => spdxLicences(join(folder, it)) })),
    ...names
      .filter((it) => it.endsWith(".deb"))
      .map((it) => ({
        name: `${it} installs and lintian finds no error`,
        run: () => debianPackage(join(folder, it), work),
      })),
    { name: "the image runs without a shell", run: () => image(path("image.tar"), work) },
    {
      name: "the image is signed in a registry; containerd pulls it, and installs from it",
      run: () => inContainerd(path("image.tar"), x64, work),
    },
    { name: "npm installs the packages into an empty folder", run: () => npmPackages(folder, work) },
    { name: "arm64 decrypts (emulated)", run: () => roundTrip(arm64, x64, work) },
    { name: "x64 needs no AVX (emulated)", run: () => roundTrip(oldest, x64, work) },
    { name: "x64-musl decrypts", run: () => roundTrip(musl, x64, work) },
    { name: "arm64-musl decrypts (emulated)", run: () => roundTrip(arm64Musl, x64, work) },
    { name: "the conformance cases are right on musl", run: () => conformance(musl, work) },
    { name: "the conformance cases are right on arm64 (emulated)", run: () => conformance(arm64, work) },
  ];
}

/** A script that runs a foreign executable under qemu. */
function emulated(
  script: string,
  machine: string,
  libraries: string,
  executable: string,
  cpu = "max",
): string {
  const line = `exec qemu-${machine}-static -cpu ${cpu} -L '${libraries}' '${executable}' "$@"`;
  writeFileSync(script, `#!/bin/sh\n${line}\n`, { mode: 0o755 });
  return script;
}

/** What it takes to run a musl executable: the libraries of one architecture. */
interface MuslPlatform {
  readonly machine: "x86_64" | "aarch64";
  /** A root that has musl, libstdc++ and libgcc_s. */
  readonly root: string;
  readonly compiler: string;
  /** File name of glibc's loader. */
  readonly glibcLoader: string;
  readonly emulator: readonly string[];
}

/** Writes a script that runs an executable with musl. Debian has no libstdc++ for musl, so it uses the one for glibc. */
function onMusl(folder: string, executable: string, platform: MuslPlatform): string {
  const { machine, root, compiler, glibcLoader, emulator } = platform;
  mkdirSync(folder);
  for (const name of ["libstdc++.so.6", "libgcc_s.so.1"])
    cpSync(realpathSync(join(root, `usr/lib/${machine}-linux-gnu`, name)), join(folder, name));
  const loader = join(folder, `ld-musl-${machine}.so.1`);
  cpSync(realpathSync(join(root, "lib", `ld-musl-${machine}.so.1`)), loader);
  symlinkSync(loader, join(folder, `libc.musl-${machine}.so.1`));
  const shim = join(folder, glibcLoader);
  const flags = ["-shared", "-fPIC", "-nostdlib", `-Wl,-soname,${glibcLoader}`, "-o", shim];
  run(compiler, [...flags, join(PROJECT, "scripts/release/musl-shim.c")]);
  const script = join(folder, "run");
  const words = [...emulator, loader, "--library-path", folder, "--preload", shim, executable];
  const line = words.map((word) => `'${word}'`).join(" ");
  writeFileSync(script, `#!/bin/sh\nexec ${line} "$@"\n`, { mode: 0o755 });
  return script;
}

/** Everything that is signed holds for our own commands, and for cosign 2 and 3. */
function signatures(x64: string, folder: string, work: string): void {
  const key = ["--key", join(work, "key.pub"), "--insecure-ignore-tlog"];
  const image = readdirSync(folder).find((name) => name.endsWith("image.tar")) ?? "image.tar";
  const type = ["--type", "slsaprovenance1", "--bundle", join(folder, ATTESTATION)];
  for (const name of [SUMS, image]) {
    const flags = [...key, "--signature", join(folder, `${name}.sig`)];
    run(x64, ["trust", "blob", join(folder, name), ...flags]);
    for (const cosign of COSIGNS) run(cosign, ["verify-blob", ...flags, join(folder, name)]);
  }
  run(x64, ["trust", "attest", join(folder, image), ...key, ...type]);
  // cosign 2 would fetch the public root, although it needs none for a key.
  const root = join(work, "trusted-root.json");
  writeFileSync(root, '{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1"}');
  const offline = ["--new-bundle-format", "--trusted-root", root];
  for (const cosign of COSIGNS)
    run(cosign, ["verify-blob-attestation", ...key, ...type, ...offline, join(folder, image)]);
}

/** Builds again in a fresh clone in another folder. Packages are copied, not installed again. */
function sameElsewhere(folder: string, work: string): void {
  const copy = join(work, "some where/else");
  mkdirSync(copy, { recursive: true });
  run("git", ["clone", "--quiet", PROJECT, copy]);
  cpSync(PEERS, join(copy, ".peers"), {
    recursive: true,
    verbatimSymlinks: true,
    filter: (it) => !/\/(trixie|sid)$/.test(it),
  });
  run("cp", ["--archive", join(PROJECT, "node_modules"), copy]);
  execFileSync("npm", ["run", "--silent", "release"], {
    cwd: copy,
    stdio: ["ignore", "ignore", "inherit"],
    env: { ...process.env, TZ: "Asia/Kathmandu", LC_ALL: "C", USER: "somebody", HOME: work },
  });
  const [ours, theirs] = [folder, join(copy, "dist/release")].map((it) =>
    readFileSync(join(it, SUMS), "utf8").split("\n"),
  );
  const different = ours?.filter((line) => !theirs?.includes(line)) ?? [];
  if (different.length > 0)
    throw new Error(`these differ: ${different.map((line) => line.slice(66)).join(", ")}`);
}

async function cycloneDx(path: string): Promise<void> {
  const validator = new Validation.JsonStrictValidator(Spec.Version.v1dot6);
  const problem = await validator.validate(readFileSync(path, "utf8"));
  if (problem !== null) throw new Error(JSON.stringify(problem).slice(0, 500));
}

function spdxLicences(path: string): void {
  const { spdxVersion, packages } = JSON.parse(readFileSync(path, "utf8"));
  if (spdxVersion !== "SPDX-2.3" || packages.length < 2) throw new Error("it lists no packages");
  for (const { licenseDeclared } of packages) parseExpression(licenseDeclared);
}

function debianPackage(path: string, work: string): void {
  run("lintian", ["--allow-root", "--fail-on", "error", "--tag-display-limit", "0", path]);
  const root = join(work, "root");
  rmSync(root, { recursive: true, force: true });
  mkdirSync(join(root, "var/lib/dpkg/info"), { recursive: true });
  mkdirSync(join(root, "var/lib/dpkg/updates"));
  for (const name of ["status", "available"]) writeFileSync(join(root, "var/lib/dpkg", name), "");
  run("dpkg", [`--root=${root}`, "--force-depends,architecture,not-root", "--install", path]);
  for (const name of ["usr/bin/ctd-decoder", "usr/share/man/man1/ctd-decoder.1.gz"]) {
    if (!existsSync(join(root, name))) throw new Error(`${name} was not installed`);
  }
}

function image(path: string, work: string): void {
  const layout = join(work, "layout");
  rmSync(layout, { recursive: true, force: true });
  run("skopeo", ["copy", "--quiet", "--multi-arch", "all", `oci-archive:${path}`, `oci:${layout}:all`]);
  run("skopeo", ["copy", "--quiet", `oci-archive:${path}`, `oci:${layout}:here`]);
  run("umoci", ["unpack", "--image", `${layout}:here`, join(work, "bundle")]);
  const root = join(work, "bundle/rootfs");
  // The runtime reads /proc, which every container has.
  const container = 'mount -t proc proc "$0/proc" && exec chroot "$0" /usr/bin/ctd-decoder --version';
  run("unshare", ["--mount", "--pid", "--fork", "sh", "-c", container, root]);
  if (existsSync(join(root, "bin/sh"))) throw new Error("it has a shell");
}

/** Publishes the image as docs/releases.md does, then uses it as the DaemonSet does, without changing anything. */
async function inContainerd(path: string, x64: string, work: string): Promise<void> {
  const node = await Node.start(testedRelease());
  const runInside = (command: string, args: readonly string[]) => {
    const inside = node.inside({ name: command, command, args: [] });
    run(inside.command, [...inside.args, ...args]);
  };
  try {
    const reference = `${REGISTRY}/ctd-decoder:checked`;
    const target = ["--dest-tls-verify=false", `oci-archive:${path}`, `docker://${reference}`];
    runInside("skopeo", ["copy", "--quiet", "--all", ...target]);
    runInside(x64, ["sign", "--recursive", "--key", join(work, "key.pem"), reference]);
    const flags = ["--key", join(work, "key.pub"), "--insecure-ignore-tlog"];
    runInside(x64, ["trust", "check", ...flags, reference]);
    for (const cosign of COSIGNS) runInside(cosign, ["verify", ...flags, reference]);
    await node.images.pull(reference);
    const root = join(node.folder, "host");
    run("cp", ["--archive", join(debianFolder("amd64"), "root"), root]);
    mkdirSync(join(root, "etc/containerd"), { recursive: true });
    mkdirSync(join(root, "proc"), { recursive: true });
    const mount = [
      "--mount",
      `type=bind,src=${root},dst=/host,options=rbind:rw`,
      "--mount",
      "type=proc,src=proc,dst=/host/proc",
    ];
    for (const words of [["--version"], ["install", "--root", "/host", "--dry-run", "--containerd", "1.6"]]) {
      const container = ["--snapshotter", "native", ...mount, reference, `check-${words.length}`];
      const ended = await node.ctr("run", "--rm", ...container, "/usr/bin/ctd-decoder", ...words);
      if (ended.exit !== 0) throw new Error(`${words.join(" ")}: ${ended.stderr.slice(-500)}`);
    }
  } finally {
    await node.stop();
  }
}

function npmPackages(folder: string, work: string): void {
  const empty = join(work, "npm");
  mkdirSync(empty);
  const archives = readdirSync(folder).filter((name) => name.endsWith(".tgz"));
  const chosen = archives
    .filter((name) => /^ctd-decoder-\d|linux-x64-\d/.test(name))
    .map((name) => join(folder, name));
  run("npm", ["install", "--no-audit", "--no-fund", "--offline", "--omit=optional", ...chosen], empty);
  run("npx", ["--offline", "ctd-decoder", "--version"], empty);
}

/** Encrypts an image with one executable and decrypts it with the other. */
function roundTrip(foreign: string, native: string, work: string): void {
  const folder = mkdtempSync(join(work, "round-"));
  mkdirSync(join(folder, "files"));
  writeFileSync(join(folder, "files/hello"), "hello\n");
  run(native, ["keygen", "node.pem"], folder);
  run(foreign, ["encrypt", "rootfs:files", "oci:encrypted:v1", "--recipient", "jwe:node.pem.pub"], folder);
  run(native, ["verify", "oci:encrypted:v1", "--key", "node.pem"], folder);
  run(foreign, ["decrypt", "oci:encrypted:v1", "oci:plain:v1", "--key", "node.pem"], folder);
}

function conformance(executable: string, work: string): void {
  const cases = join(PROJECT, "../shared/conformance");
  if (!existsSync(cases)) throw new Error(`${cases} is missing`);
  const report = join(work, "cases.jsonl");
  try {
    // PKCS#11 cases load the machine's own modules, which these executables can't.
    run(join(cases, "run-cases"), [
      executable,
      cases,
      "--report",
      report,
      "--only",
      "^(?!.*(pkcs11|provider))",
    ]);
  } catch {
    const failed = readFileSync(report, "utf8")
      .split("\n")
      .filter((line) => line.includes('"pass":false'));
    throw new Error(`${failed.length} cases fail: ${failed.map((line) => JSON.parse(line).name).join(", ")}`);
  }
}

function run(program: string, args: readonly string[], cwd?: string): string {
  try {
    return execFileSync(program, args, {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "pipe"],
      ...(cwd !== undefined && { cwd }),
    });
  } catch (error) {
    const { stdout = "", stderr = "" } = error as { stdout?: string; stderr?: string };
    throw new Error(`${program} ${args[0]}: ${`${stdout}${stderr}`.trim().slice(-500)}`);
  }
}
