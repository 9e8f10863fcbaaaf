import { isAbsolute, join } from "node:path";
import type { ContainerdConfig } from "../containerd/config.ts";
import {
  type ImageVerifierConfig,
  readImageVerifier,
  VERIFIER_PLUGIN,
} from "../containerd/image-verifier.ts";
import { type ContainerdVersion, formatVersion } from "../containerd/version.ts";
import { expectLocalPull } from "./check-payload.ts";
import type { Finding } from "./finding.ts";

/** Looks at the folder of verifiers as containerd would. */
interface VerifierFolder {
  /** Names in a folder, in containerd's order; empty for a missing folder. */
  list(folder: string): readonly string[];
  /** Follows links, and is false for anything but a file. */
  isExecutable(path: string): boolean;
}

/** containerd 2.0 has the plugin, but its CRI plugin pulls by itself; from 2.1 on it uses the transfer service. */
const FIRST_MINOR = 1;
/** Name of our link in the folder of verifiers. */
export const LINK_NAME = "ctd-decoder";

/**
 * Why pulls by Kubernetes do not call the image verifier, whatever is in its folder; undefined if they do.
 */
export function withoutVerifier(config: ContainerdConfig, version: ContainerdVersion): Finding | undefined {
  const unchecked = "images that are not encrypted are not checked";
  if (version.major < 2)
    return {
      severity: "warning",
      message: `containerd ${formatVersion(version)} has no image verifier: ${unchecked}`,
      hint: `update containerd to 2.${FIRST_MINOR} or later; until then, the decoder's gate checks encrypted images only`,
    };
  if (version.minor < FIRST_MINOR)
    return {
      severity: "warning",
      message: `the CRI plugin of containerd ${formatVersion(version)} does not call its image verifier: ${unchecked}`,
      hint: `update containerd to 2.${FIRST_MINOR} or later`,
    };
  const reason = expectLocalPull(config, version);
  if (reason === undefined) return undefined;
  return {
    severity: "warning",
    message: `containerd pulls without its image verifier, because of ${reason}: ${unchecked}`,
    hint: `remove ${reason} from containerd's configuration`,
  };
}

/** What keeps containerd from running our link in its folder of verifiers, or makes every pull fail. */
export function* checkVerifier(config: ContainerdConfig, folder: VerifierFolder): Generator<Finding> {
  const verifier = readImageVerifier(config);
  const { binDir, isDisabled, timeoutMs } = verifier;
  if (isDisabled)
    yield error(
      `disabled_plugins has ${VERIFIER_PLUGIN}: containerd checks no image`,
      "remove it from disabled_plugins",
    );
  if (!(timeoutMs > 0))
    yield error(
      "per_verifier_timeout of the image verifier is not a time that a check can keep",
      'set it to "30s"',
    );
  if (!isAbsolute(binDir)) {
    yield error(
      `bin_dir of the image verifier is ${JSON.stringify(binDir)}, not an absolute path: containerd may allow every pull without a check`,
      "set it to a folder for programs that check images",
    );
    return;
  }
  const names = folder.list(binDir);
  if (names.length === 0)
    yield error(
      `${binDir} is empty or missing: containerd allows every pull without a check`,
      "run `ctd-decoder install --trust POLICY`",
    );
  else if (!names.includes(LINK_NAME))
    yield error(
      `${binDir} has no ${LINK_NAME}: other programs decide which images are pulled`,
      "run `ctd-decoder install --trust POLICY`",
    );
  yield* checkEntries(verifier, names, folder);
}

function* checkEntries(
  { binDir, maxVerifiers }: ImageVerifierConfig,
  names: readonly string[],
  folder: VerifierFolder,
): Generator<Finding> {
  for (const name of names) {
    if (folder.isExecutable(join(binDir, name))) continue;
    yield error(
      `${join(binDir, name)} is not an executable file: every pull fails`,
      name === LINK_NAME ? "run `ctd-decoder install --trust POLICY`" : "remove it",
    );
  }
  const before = names.indexOf(LINK_NAME);
  if (maxVerifiers >= 0 && before >= maxVerifiers)
    yield error(
      `containerd runs only the first ${maxVerifiers} programs of ${binDir}, and passes over ${LINK_NAME}`,
      "raise max_verifiers, or remove programs",
    );
}

function error(message: string, hint: string): Finding {
  return { severity: "error", message, hint };
}
