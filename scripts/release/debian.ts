/** The .deb of one architecture: the executable, its manual page, completions and examples. It starts no service. */
import { execFileSync } from "node:child_process";
import { chmodSync, copyFileSync, mkdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { gzipSync } from "node:zlib";
import { PROJECT } from "../executable.ts";

export interface DebianPackage {
  readonly architecture: "amd64" | "arm64";
  readonly version: string;
  readonly executable: string;
  readonly notices: string;
  /** Output of `ctd-decoder man`. */
  readonly manualPage: Uint8Array;
  /** Shell → output of `ctd-decoder completion SHELL`. */
  readonly completions: Readonly<Record<"bash" | "zsh" | "fish", Uint8Array>>;
  /** Time of the release's commit, in seconds since 1970. */
  readonly epoch: number;
}

const DOC = "usr/share/doc/ctd-decoder";
const MAINTAINER = "ctd-decoder maintainers <maintainers@ctd-decoder.invalid>";
const COMPLETION_FILES = {
  bash: "usr/share/bash-completion/completions/ctd-decoder",
  zsh: "usr/share/zsh/vendor-completions/_ctd-decoder",
  fish: "usr/share/fish/vendor_completions.d/ctd-decoder.fish",
} as const;
/** Overrides of lintian, each with its reason, as Debian's policy requires. */
const OVERRIDES = `# Stripping would cut off the program: its code is appended to the runtime.
ctd-decoder: unstripped-binary-or-object
# The runtime brings its own copies and is the same file that its publisher tests.
ctd-decoder: embedded-library
ctd-decoder: statically-linked-binary
ctd-decoder: hardening-no-pie
ctd-decoder: hardening-no-fortify-functions
ctd-decoder: hardening-no-bindnow
ctd-decoder: hardening-no-relro
ctd-decoder: shared-library-is-executable
# The package is not part of Debian, so no bug report asks for it.
ctd-decoder: initial-upload-closes-no-bugs
`;

/** Debian's policy requires references to the licence texts that every Debian system has. */
const COPYRIGHT = `Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: ctd-decoder

Files: *
Copyright: ctd-decoder maintainers
License: Apache-2.0 and LGPL-3+ and LGPL-2.1+ and other
 ctd-decoder is under the Apache License 2.0. On Debian systems its text is
 in /usr/share/common-licenses/Apache-2.0.
 .
 OpenPGP.js, a part of the program, is under the LGPL, version 3 or later:
 /usr/share/common-licenses/LGPL-3. JavaScriptCore, a part of the runtime, is
 under the LGPL, version 2.1 or later: /usr/share/common-licenses/LGPL-2.1.
 .
 THIRD_PARTY_NOTICES.txt.gz in this folder has the licences of all parts.
`;

/** Writes the package to `path`. The same input gives the same bytes. */
export function writeDebianPackage(path: string, it: DebianPackage): void {
  const root = `${path}.root`;
  rmSync(root, { recursive: true, force: true });
  try {
    fill(root, it);
    execFileSync("dpkg-deb", ["--build", "--root-owner-group", "-Zxz", "-z1", root, path], {
      stdio: ["ignore", "ignore", "inherit"],
      env: { ...process.env, SOURCE_DATE_EPOCH: String(it.epoch) },
    });
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

function fill(root: string, it: DebianPackage): void {
  const put = (name: string, content: string | Uint8Array) => {
    const path = join(root, name);
    mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
    writeFileSync(path, content);
    chmodSync(path, 0o644);
  };
  put("usr/share/man/man1/ctd-decoder.1.gz", packed(it.manualPage));
  for (const [shell, name] of Object.entries(COMPLETION_FILES)) {
    put(name, it.completions[shell as keyof typeof COMPLETION_FILES]);
  }
  put(`${DOC}/changelog.gz`, packed(Buffer.from(changelog(it))));
  put(`${DOC}/copyright`, COPYRIGHT);
  put(`${DOC}/THIRD_PARTY_NOTICES.txt.gz`, packed(Buffer.from(it.notices)));
  put("usr/share/lintian/overrides/ctd-decoder", OVERRIDES);
  mkdirSync(join(root, DOC, "examples"), { recursive: true });
  copyFileSync(
    join(PROJECT, "containerd-config.example.toml"),
    join(root, DOC, "examples/containerd-config.toml"),
  );
  mkdirSync(join(root, "usr/bin"), { recursive: true });
  copyFileSync(it.executable, join(root, "usr/bin/ctd-decoder"));
  chmodSync(join(root, "usr/bin/ctd-decoder"), 0o755);
  put("DEBIAN/control", control(it));
}

function control({ architecture, version, executable }: DebianPackage): string {
  const kibibytes = Math.ceil(statSync(executable).size / 1024) + 256;
  return `Package: ctd-decoder
Version: ${version}
Architecture: ${architecture}
Maintainer: ${MAINTAINER}
Installed-Size: ${kibibytes}
Depends: libc6 (>= 2.17)
Suggests: containerd
Section: admin
Priority: optional
Description: decrypts encrypted container images where they are pulled
 A stream processor for containerd that decrypts encrypted OCI image layers
 with the node's keys and releases nothing unverified. The same program
 encrypts, inspects, rewraps and verifies images and configures containerd.
 .
 Installing this package changes no configuration: "ctd-decoder install"
 does, and "ctd-decoder uninstall" takes it back.
`;
}

function changelog({ version, epoch }: DebianPackage): string {
  const date = new Date(epoch * 1000).toUTCString().replace("GMT", "+0000");
  return `ctd-decoder (${version}) stable; urgency=medium\n\n  * Release ${version}. CHANGELOG.md in the sources lists the changes.\n\n -- ${MAINTAINER}  ${date}\n`;
}

/** Compresses like `gzip -9n`, without a name or time. */
function packed(bytes: Uint8Array): Uint8Array {
  return gzipSync(bytes, { level: 9 });
}
