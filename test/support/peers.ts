import { type SpawnOptions, spawn } from "node:child_process";
import { accessSync, constants, existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, type SuiteOptions } from "vitest";

/** Something that a test can't do without. `absent` says why it isn't there. */
export interface Need {
  readonly name: string;
  readonly absent?: string;
}

/** A program to call as `command ...args`. */
export interface Peer extends Need {
  readonly command: string;
  readonly args: readonly string[];
}

export const PROJECT = fileURLToPath(new URL("../../", import.meta.url));
export const TRIXIE = `${PROJECT}.peers/trixie/root`;

const [multiarch, loader] =
  process.arch === "arm64"
    ? ["aarch64-linux-gnu", "lib/ld-linux-aarch64.so.1"]
    : ["x86_64-linux-gnu", "lib64/ld-linux-x86-64.so.2"];

/** Our own executable, as `npm run build` leaves it. */
export const ours = program("ctd-decoder", `${PROJECT}dist/ctd-decoder`, "it isn't built: npm run build");

/** imgcrypt's decoder in Go: linked statically enough to run on any glibc since Debian 12. */
export const goDecoder = program("Go's ctd-decoder", `${TRIXIE}/usr/bin/ctd-decoder`);

/** Debian's skopeo of this machine. Those of trixie and sid run through the loader and libraries they were built for. */
export const skopeo = onPath("skopeo");
export const skopeoNew = unpacked("skopeo");
export const skopeoSid = unpacked("skopeo", "sid", `${PROJECT}.peers/skopeo-sid/root`);
/** Debian's, without its recommended packages. */
export const buildah = onPath("buildah");
export const ctrImgcrypt = program("ctr-imgcrypt", `${TRIXIE}/usr/bin/ctr-imgcrypt`);

/** cosign of trixie, which signs as payloads under a tag, and of sid, which signs as Sigstore bundles. */
export const cosign2 = program("cosign 2", `${PROJECT}.peers/cosign-2/root/usr/bin/cosign`);
export const cosign3 = program("cosign 3", `${PROJECT}.peers/cosign-3/root/usr/bin/cosign`);

export const openssl = onPath("openssl");
/** GnuPG 2.2 of this machine, and trixie's 2.4, which writes OCB. */
export const gpg = onPath("gpg");
export const gpgNew = unpacked("gpg");
export const umoci = onPath("umoci");
export const zstd = onPath("zstd");
export const strace = onPath("strace");
/** util-linux's, which runs a program on a terminal of its own. */
export const script = onPath("script");
export const containerd = onPath("containerd");
export const ctr = onPath("ctr");
export const runc = onPath("runc");
export const busybox = onPath("busybox");
export const registry = onPath("docker-registry");
export const softhsmUtil = onPath("softhsm2-util");
export const pkcs11Tool = onPath("pkcs11-tool");

/** SoftHSM's PKCS#11 module: `command` is the shared library. */
export const softhsm = firstOf("SoftHSM", [
  "/usr/lib/softhsm/libsofthsm2.so",
  `/usr/lib/${multiarch}/softhsm/libsofthsm2.so`,
]);

/** NSS's PKCS#11 module, in the same way. */
export const softokn = firstOf("NSS's softokn", [
  `/usr/lib/${multiarch}/libsoftokn3.so`,
  `/usr/lib/${multiarch}/nss/libsoftokn3.so`,
]);
export const cc = onPath("cc");

export const root: Need =
  process.platform === "linux" && process.getuid?.() === 0
    ? { name: "root" }
    : { name: "root", absent: "it needs root on Linux" };

function program(name: string, path: string, advice = "run scripts/peers"): Peer {
  const peer: Peer = { name, command: path, args: [] };
  return isExecutable(path) ? peer : { ...peer, absent: `${name} is missing: ${advice}` };
}

export function onPath(name: string): Peer {
  const folders = [...(process.env["PATH"] ?? "").split(":"), "/usr/sbin", "/sbin"];
  const found = folders.map((folder) => `${folder}/${name}`).find(isExecutable);
  return program(name, found ?? name);
}

function firstOf(name: string, paths: readonly string[]): Peer {
  const found = paths.find((path) => existsSync(path));
  const peer: Peer = { name, command: found ?? name, args: [] };
  return found === undefined ? { ...peer, absent: `${name} is missing: run scripts/peers` } : peer;
}

function unpacked(name: string, suite = "trixie", folder = TRIXIE): Peer {
  const peer = program(`${suite}'s ${name}`, `${folder}/usr/bin/${name}`);
  const args = ["--library-path", `${folder}/usr/lib/${multiarch}`, peer.command];
  return { ...peer, command: `${folder}/${loader}`, args };
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return path.includes("/");
  } catch {
    return false;
  }
}

/**
 * `describe`, skipped by name with the reason where something it needs is absent. On CI that is an error:
 * what is skipped there would never be tested at all.
 */
export function describeWith(
  needs: readonly Need[],
  title: string,
  options: SuiteOptions,
  body: () => void,
): void {
  const reasons = needs.flatMap((need) => need.absent ?? []);
  if (reasons.length === 0) describe(title, options, body);
  else if (process.env["CI"] === "true") throw new Error(`${title}: ${reasons.join("; ")}`);
  else describe.skip(`${title} (skipped: ${reasons.join("; ")})`, options, body);
}

export interface Finished {
  readonly exit: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: Buffer;
  readonly stderr: string;
}

/** Runs a peer to its end, whatever its status. `input` goes to its stdin, which is empty otherwise. */
export function run(
  peer: Peer,
  args: readonly string[],
  options: SpawnOptions & { readonly input?: Uint8Array } = {},
): Promise<Finished> {
  const { input, ...spawnOptions } = options;
  return new Promise((resolve, reject) => {
    const child = spawn(peer.command, [...peer.args, ...args], {
      timeout: 300_000,
      ...spawnOptions,
      stdio: "pipe",
    });
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    child.stdout?.on("data", (chunk: Buffer) => stdout.push(chunk));
    child.stderr?.on("data", (chunk: Buffer) => stderr.push(chunk));
    child.on("error", reject);
    child.on("close", (exit, signal) =>
      resolve({ exit, signal, stdout: Buffer.concat(stdout), stderr: Buffer.concat(stderr).toString() }),
    );
    // A program that ends without reading all of it is judged by its status.
    child.stdin?.on("error", () => {});
    child.stdin?.end(input);
  });
}

/** Runs a peer that has to succeed and returns its stdout. */
export async function output(
  peer: Peer,
  args: readonly string[],
  options: SpawnOptions & { readonly input?: Uint8Array } = {},
): Promise<Buffer> {
  const { exit, signal, stdout, stderr } = await run(peer, args, options);
  if (exit !== 0) {
    throw new Error(`${peer.name} ${args.join(" ")}: ${signal ?? `exit ${exit}`}: ${stderr.slice(-2000)}`);
  }
  return stdout;
}
