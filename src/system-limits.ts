/**
 * Every cap on work that an attacker can choose, beyond one layer: images, signatures, registries, tenants, nodes. Sizes are in
 * bytes, times in milliseconds. A call that only decrypts a layer does not load this file.
 */
const KiB = 1024;
const MiB = 1024 * KiB;

/** One file of containerd's configuration, and the number of files that it imports. */
export const configBytes = MiB;
export const configFiles = 256;
/** A kid by which a JWE names a recipient. The names of cloud keys have up to 150 characters. One header may name all recipients. */
export const kidChars = 256;
/** A signer's certificate or its issuer's. Fulcio's have 1 KiB and 20 extensions. */
export const signerCertificateBytes = 64 * KiB;
export const certificateExtensions = 64;
/** Certificates from a signer's to a root, and issuers that are tried on the way. */
export const certificateChain = 4;
export const certificateAttempts = 16;
/** Public keys in one file of a policy, and entries of each list in a trusted root. */
export const trustKeys = 64;
export const trustedRootEntries = 64;
/** Signed certificate timestamps of one certificate, then log entries and timestamps of one signature. */
export const certificateTimestamps = 16;
export const logEntries = 16;
export const signatureTimestamps = 16;
/** One RFC 3161 timestamp with its certificates. */
export const timestampBytes = 64 * KiB;
/**
 * An attestation, all that one place has of an image, and the subjects of its statement. The SBOM of a large image has some
 * MiB. They are held in memory until one counts.
 */
export const attestationBytes = 16 * MiB;
export const attestationsBytes = 32 * MiB;
export const statementSubjects = 1024;
/** A name in a certificate that is matched against a regular expression. */
export const identityChars = 1024;
/** A checksum file, and its lines. */
export const sumsBytes = 16 * MiB;
export const sums = 65_536;
/** A file with an Ed25519 signature. Ed25519 hashes it twice, so it is held in memory. */
export const ed25519FileBytes = 256 * MiB;
/** Manifests, indexes and configurations of one image, and the nesting of indexes. A manifest of 40 layers has 400 values. */
export const imageDocuments = 2048;
export const imageDocumentsBytes = 64 * MiB;
export const imageDocumentsValues = 524_288;
export const imageConfigBytes = 8 * MiB;
export const indexEntries = 1024;
export const indexDepth = 8;
/** Entries of an image archive. Each layer is one; older versions of Docker wrote three. */
export const archiveEntries = 65_536;
/** A policy, and its scopes. A thousand repositories with a key each take 200 KiB. */
export const policyBytes = 4 * MiB;
export const policyScopes = 16_384;
/** A key, keyring, certificate chain or trusted root that a policy names. */
export const trustFileBytes = MiB;
/** Signatures under one tag, manifests that refer to an image, and the size of one payload or bundle of a signature. */
export const signatures = 64;
export const referrers = 64;
export const signatureBytes = MiB;
/** Signatures times requirements. A check of a certificate and its log entry takes 50 ms, of a hostile one some 100 ms more. */
export const signatureChecks = 512;
/** The image verifier's own deadline. At containerd's deadline, 10 s by default, the reason would be lost. */
export const verifierMs = 8000;
/** The descriptor that containerd passes to a verifier, and the line of the verdict that a Pod's event shows. */
export const verifierInputBytes = 64 * KiB;
export const verifierLineChars = 512;
/** Names of one manifest, and checks of signatures before one layer is decrypted. */
export const blobSources = 1024;
export const gateChecks = 64;
/** All checks before one layer is decrypted: a pull waits for them. */
export const gateMs = 60_000;
/** The longest wait that `trust check` accepts on its command line. */
export const trustCheckMs = 3_600_000;
/** How long an accepted verdict holds without the registry. Then the size of a verdict, and verdicts per digest. */
export const verdictLifeMs = 86_400_000;
export const verdictBytes = 16 * KiB;
export const verdictsOfDigest = 256;
/** All verdicts of a node. At this number the older half is removed. */
export const verdicts = 4096;
/** Links on the way to a file that decides what may run: as many as Linux follows. */
export const symbolicLinks = 40;
/** A regular expression of a policy. */
export const policyRegexpChars = 512;
/** Its steps: characters, with each repetition written out. */
export const policyRegexpSteps = 4096;
/** A registry's answers other than manifests and blobs: a token, an error, a page of tags. */
export const tokenBytes = MiB;
export const registryErrorBytes = 64 * KiB;
export const tagListBytes = 64 * KiB;
/** RFC 9110 §15.4 leaves the number of redirects to the client. */
export const redirects = 10;
/** A file of credentials, and the output of a credential helper. */
export const authFileBytes = MiB;
export const credentialHelperBytes = 64 * KiB;
/** One certificate file, then files in a registry's folder and in the system's. The largest system bundle has 230 KiB. */
export const certificateBytes = 4 * MiB;
export const certificateFiles = 256;
export const systemCertificateFiles = 1024;
/** TCP and TLS together; the first byte of an answer; the end of an upload, when a registry may copy the blob. */
export const registryConnectMs = 30_000;
export const registryAnswerMs = 60_000;
export const registryCommitMs = 300_000;
/** Time without a byte in either direction, and for a whole document such as a manifest or token, or for `progressBytes`. */
export const registryIdleMs = 60_000;
export const registryDocumentMs = 300_000;
/** Attempts at one request, the longest wait between two, and the longest wait that a server may request. */
export const registryAttempts = 5;
export const retryWaitMs = 30_000;
export const retryAfterMs = 60_000;
/** Progress of a download after which its attempts and its time are counted afresh. */
export const progressBytes = MiB;
/** Bytes that are read again and dropped when a server ignores Range. */
export const rangeSkipBytes = 64 * MiB;
/** Attempts at one upload. Each starts at the first byte. */
export const uploadAttempts = 3;
/** The wait for another process that writes to the same image layout. Its commit takes less than a second. */
export const folderLockMs = 60_000;
/** A kubeconfig and the files that it names. Certificates and tokens have some KiB. */
export const kubeconfigBytes = MiB;
/** One answer of the API server, and the wait for it. 110 Pods, a kubelet's default maximum, take 400 KiB. */
export const apiAnswerBytes = 16 * MiB;
export const apiTimeoutMs = 5000;
/** Pages of a node's list of Pods, read one by one if the whole list is longer than an answer. */
export const apiPages = 1024;
/** Secrets that are requested for one layer or container. */
export const tenantSecrets = 64;
/** Secrets and keys of one namespace: a tenant must not use up what the others' keys need. */
export const namespaceSecrets = 8;
export const namespaceKeys = 32;
/** Layers below a container, which overlayfs bounds, and mounts that are looked up. */
export const snapshotDepth = 1024;
export const containerMounts = 1024;
/** Seal records of one chain, and the size of one. There is more than one only if images with other keys claim the chain. */
export const sealRecords = 64;
export const sealRecordBytes = 16 * KiB;
/** One message of NRI. containerd/ttrpc, PROTOCOL.md, has the same limit. */
export const ttrpcBytes = 4 * MiB;
/** Nesting of JSON. A manifest has five levels. Then the values of one document, each of which takes up to 200 bytes of memory. */
export const jsonDepth = 64;
export const jsonValues = 131_072;
/** YAML: uses of an alias, since each multiplies the text, and documents of a file. */
export const yamlAliases = 16;
export const yamlDocuments = 256;
/** Certificates and attributes of one RFC 3161 timestamp. */
export const timestampItems = 64;
/**
 * The head of an answer, which Node.js bounds alike; the line with a chunk's size, and all trailers; answers such as 103 before
 * the real one.
 */
export const httpHeadBytes = 16 * KiB;
export const httpLineBytes = 4 * KiB;
export const interimAnswers = 8;
/** Unread bytes at which a connection pauses receiving. The server then has to wait. */
export const unreadBytes = MiB;
/** Chunks of a small body are joined at this number: a chunk of one byte takes hundreds of bytes of memory. */
export const heldChunks = 16_384;
/** A remainder up to this size and time is read, so that the connection can be used again. */
export const drainedBytes = 64 * KiB;
export const drainMs = 1000;
/** The removal of an upload that is given up. */
export const uploadCancelMs = 2000;
/** Verdicts on Pods that are kept before old ones are removed. */
export const podVerdicts = 4096;
/** Places to try when TOML is edited, and the characters that all tries may parse: some seconds' work. */
export const tomlTries = 2048;
export const tomlParsedChars = 32 * MiB;
/** Files of a node: what the installer recorded, the list of keys, a script, os-release, and a file that is compared. */
export const recordBytes = MiB;
export const keyListBytes = MiB;
export const scriptBytes = 16 * KiB;
export const osReleaseBytes = 64 * KiB;
export const diffBytes = MiB;
/** A program of the node that reports something, its output, and the part of the journal that is read. */
export const nodeCommandMs = 10_000;
export const nodeOutputBytes = 16 * KiB;
export const journalBytes = 256 * KiB;
/** A trial run of the decoder, and of the image verifier. */
export const programTrialMs = 60_000;
export const verifierProbeMs = 60_000;
export const verifierProbeBytes = 64 * KiB;
/** A service's status, and its restart. k3s and RKE2 report that they are ready only after minutes on a slow node. */
export const serviceStatusMs = 30_000;
export const serviceRestartMs = 300_000;
