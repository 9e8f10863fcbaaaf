import type { FlagName } from "./flags.ts";

interface FlagHelp {
  /** Name of the value; undefined for a switch. */
  readonly value?: string;
  readonly help: string;
}

/** What help, the manual page and completion say about each flag of the decoder, in their order. */
export const FLAG_HELP: Readonly<Record<FlagName, FlagHelp>> = {
  "decryption-keys-path": {
    value: "PATH",
    help: "private keys: a folder, read with its subfolders, or one file",
  },
  "key-passwords-path": {
    value: "DIR",
    help: "passwords of encrypted keys: one file per key, with the key file's name",
  },
  "allow-external-symlinks": { help: "follow symlinks that leave the keys folder" },
  "strict-keys": { help: "fail at the first file in the keys folder that is not a usable key" },
  release: {
    value: "verified|stream",
    help: "release nothing before the whole layer is authenticated (default), or all but the tail",
  },
  "spool-memory": {
    value: "SIZE",
    help: "largest layer held in memory; larger ones are read twice from containerd's blob, or go to a temporary file (default 4M)",
  },
  "spool-dir": { value: "DIR", help: "folder of that temporary file (default $TMPDIR or /var/tmp)" },
  "verify-digest": { help: "also check the layer against the descriptor's digest" },
  returns: { value: "tar", help: "also decompress the layer, gzip or zstd" },
  "max-expansion": {
    value: "N|SIZE",
    help: "largest decompressed layer, as a multiple of the compressed one or as a size (default 200, or 1G if that is more)",
  },
  "content-store": {
    value: "DIR",
    help: "containerd's content store, to look up a layer that has no payload (default: the store whose blobs containerd has open)",
  },
  "no-content-store": {
    help: "use only what containerd passes; read neither its blobs nor its manifests",
  },
  "provider-timeout": {
    value: "SECONDS",
    help: "longest wait for a key provider or token (default 30)",
  },
  "provider-legacy-dc": { help: "send key providers all private keys, as the Go decoder does" },
  verbose: { help: "show what key providers print when they fail" },
  "tenant-keys": {
    value: "kubelet",
    help: "if no key of the node opens a layer, try those in Secrets of Pods that wait for its image",
  },
  kubeconfig: {
    value: "FILE",
    help: "the kubelet's kubeconfig, for --tenant-keys (default: where kubeadm, k3s and RKE2 keep it)",
  },
  "node-name": {
    value: "NAME",
    help: "this node's name, for --tenant-keys (default: the one in the kubelet's certificate)",
  },
  "key-scopes": {
    value: "FILE",
    help: "keys of the folder open only layers of the repositories that FILE binds them to",
  },
  "sealed-dir": {
    value: "DIR",
    help: "write a seal record of each layer to DIR, for the gate at container creation",
  },
  "audit-log": {
    value: "FILE",
    help: "append a line of JSON for each layer to FILE (default $OCICRYPT_AUDIT_LOG)",
  },
  "audit-required": { help: "release nothing if that line can't be written" },
  "no-journal": { help: "do not report refused layers to the system's log" },
  "trust-cri-annotations": {
    help: "trust the image name in annotations: containerd wrote it, not the image's author",
  },
  "trust-policy": {
    value: "FILE",
    help: "decrypt layers only of images that this policy or trust.toml accepts",
  },
};
