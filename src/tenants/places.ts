/** Usual places on a node. This file imports nothing, since help shows some of them. */

export const SETTINGS_FILE = "/etc/containerd/ctd-decoder/tenants.toml";
export const SEALED_DIRECTORY = "/var/lib/ctd-decoder/sealed";
/** On tmpfs: gone when the node starts. */
export const VERDICTS_DIRECTORY = "/run/ctd-decoder/tenants";
