/**
 * Every cap on attacker-chosen work, in one place. Sizes in bytes, times in milliseconds.
 */
const KiB = 1024;
const MiB = 1024 * KiB;
const GiB = 1024 * MiB;

/** containerd's gRPC messages, which carry the payload's source, end at 16 MiB. */
export const payloadBytes = 16 * MiB;
/** The payload is written at once, but 64 pulls on a node with two processors have been seen to take 10 s for it. */
export const payloadWaitMs = 30_000;
/** One annotation. Registries refuse manifests over 4 MiB, so no pulled image has a longer one. */
export const annotationBytes = 4 * MiB;
/** One wrapped key, decoded: an RSA-4096 recipient takes 1 KiB, and a packet may have thousands. */
export const packetBytes = 3 * MiB;
/** Annotations with wrapped keys: one a scheme, and one for each key provider. */
export const wrappedKeyAnnotations = 64;
/** Wrapped keys in one annotation: each added recipient set appends one. */
export const packets = 1024;
/** The unwrapped private options: real ones have 200 bytes. */
export const privateOptionsBytes = 64 * KiB;
/** The decoded public options: real ones have 110 bytes. */
export const publicOptionsBytes = 64 * KiB;
/** Private-key operations for one layer, and the processor time they may take. */
export const unwrapAttempts = 4096;
export const unwrapCpuMs = 10_000;
/** And the time on the clock: each packet may make a token or a key provider wait for its deadline. */
export const unwrapClockMs = 120_000;
/** Keys: a keyring with photos can reach some 100 KiB. */
export const keyFileBytes = MiB;
export const keyFiles = 1024;
export const keyEntries = 4096;
export const keyDirectoryDepth = 16;
/** RFC 7518 §4.3 asks for 2048 bits or more; private operations grow with the cube of the size. */
export const rsaBitsMin = 2048;
export const rsaBitsMax = 8192;
/** PBKDF2 iterations of an encrypted key; OpenSSL writes 2,048, careful people 1,000,000. */
export const pbkdf2Iterations = 10_000_000;
/** Processor time for the passwords of all encrypted keys together: one of the most iterations takes half of it. */
export const keyDerivationCpuMs = 10_000;
/** scrypt of an encrypted key: memory, OpenSSL's default takes 16 MiB. */
export const scryptBytes = 128 * MiB;
/** Parallel lanes of scrypt, which are worked off one after another. */
export const scryptParallel = 16;
/** What of an error message is shown: pod events are cut at 1 KiB, terminals are not. */
export const messageChars = 4096;
/** Parameters of one JWE header: RFC 7516 and 7518 have 18, writers use 5. */
export const jweHeaderParameters = 64;
/** OpenPGP packets in one message or keyring: each recipient, key, user ID and signature is one. */
export const pgpPackets = 16384;
/** The encrypted part of an OpenPGP message, and what it may inflate to: real ones have 300 bytes, 1 KiB if signed. */
export const pgpContentBytes = 64 * KiB;
/** Argon2 of a protected OpenPGP key: memory in KiB as a power of two; the usual one is 16. */
export const argon2MemoryExponent = 18;
/** And its work, in passes times KiB: 4 passes over the most memory, or 64 over 16 MiB, take about 2 s. */
export const argon2Work = 2 ** 20;
/** CMS: recipients of one packet, pieces its content may come in, and nested elements of unknown length. */
export const cmsRecipients = 4096;
export const cmsSegments = 4096;
export const cmsDepth = 16;
/** gpg looking up a recipient in its keyring, which may be on a slow disk. */
export const gpgTimeoutMs = 30_000;
/** PKCS#11: a key file, policy or PIN file, and the recipients of one packet. */
export const pkcs11FileBytes = 16 * KiB;
export const pkcs11Recipients = 1024;
/** A key provider's answer, and how long it may take. */
export const providerOutputBytes = MiB;
export const providerTimeoutMs = 30_000;
/** Open files of containerd that are looked at: a node with 110 pods has some 1,000. */
export const openFiles = 65_536;
/** What of a layer is compared with blobs of the content store, and what at most when several begin alike. */
export const compareBytes = 64 * KiB;
export const compareBytesMax = 16 * MiB;
/** The search for a layer's manifest in the content store: blobs held by pulls, blobs and manifests in all, and the time of each. */
export const leasedBlobs = 4096;
export const storeBlobs = 200_000;
export const storeManifests = 20_000;
export const storeScanMs = 3000;
/**
 * Different descriptors of one blob that are tried, how many of them one manifest may have, and what is hashed to tell
 * which is right when several open: a layer of 10 GiB three times.
 */
export const candidates = 64;
export const candidatesOfManifest = 4;
export const candidatesHashBytes = 32 * GiB;
/** containerd's configuration: one file, and how many it imports. */
export const configBytes = MiB;
export const configFiles = 256;
/** A certificate that signed something, or its issuer: Fulcio's have 1 KiB and 20 extensions. */
export const signerCertificateBytes = 64 * KiB;
export const certificateExtensions = 64;
/** Certificates from a signer's to a root, and issuers that are tried on the way. */
export const certificateChain = 4;
export const certificateAttempts = 32;
/** Public keys in one file of a policy, and entries of each list in a trusted root. */
export const trustKeys = 64;
export const trustedRootEntries = 64;
/** Signed certificate timestamps of one certificate; log entries and timestamps of one signature. */
export const certificateTimestamps = 16;
export const logEntries = 16;
export const signatureTimestamps = 16;
/** One RFC 3161 timestamp with its certificates. */
export const timestampBytes = 64 * KiB;
/** An attestation: an SBOM of a large image has some MiB. Subjects of its statement. */
export const attestationBytes = 16 * MiB;
export const statementSubjects = 1024;
/** A name in a certificate that a regular expression is run on. */
export const identityChars = 1024;
/** A checksum file, and its lines. */
export const sumsBytes = 16 * MiB;
export const sums = 65_536;
/** A file with an Ed25519 signature, which is hashed twice and therefore kept in memory. */
export const ed25519FileBytes = 256 * MiB;
/** A manifest or index: registries refuse longer ones. All of one image together, and how they may nest. */
export const manifestBytes = 4 * MiB;
export const imageDocuments = 2048;
export const imageDocumentsBytes = 64 * MiB;
export const imageConfigBytes = 8 * MiB;
export const indexEntries = 1024;
export const indexDepth = 8;
/** Layers of one manifest: overlayfs, where they all end up, takes 500. */
export const layers = 1024;
/** Entries of an image archive: each layer is one, older Docker wrote three. */
export const archiveEntries = 65_536;
/** A policy, and its scopes: a thousand repositories with a key each have 200 KiB. */
export const policyBytes = 4 * MiB;
export const policyScopes = 16_384;
/** A key, keyring, certificate chain or trusted root that a policy names. */
export const trustFileBytes = MiB;
/** Signatures under one tag, manifests that refer to an image, and the size of one payload, envelope or bundle. */
export const signatures = 64;
export const referrers = 64;
export const signatureBytes = MiB;
/** Entries of a layout's index.json that are read in search of what refers to an image. */
export const layoutEntries = 1024;
/** Signatures times demands: the dearest check, of a certificate and its log entry, takes 50 ms. */
export const signatureChecks = 512;
/** The image verifier's own deadline: containerd's is 10 s unless configured, and then our reason is lost. */
export const verifierMs = 8000;
/** containerd's call of a verifier: its descriptor, and the line of ours that a pod's event shows. */
export const verifierInputBytes = 64 * KiB;
export const verifierLineChars = 512;
/** Repositories that a blob was pulled from, and checks of one layer's images before it is decrypted. */
export const blobSources = 64;
export const gateChecks = 64;
/** The longest that `trust check` may be told to wait. */
export const trustCheckMs = 3_600_000;
/** An accepted image is believed this long without the registry; a verdict's size, and those of one digest. */
export const verdictLifeMs = 86_400_000;
export const verdictBytes = 16 * KiB;
export const verdictsOfDigest = 256;
/** A regular expression of a policy. */
export const policyRegexpChars = 512;
/** What a registry answers besides manifests and blobs: a token, an error, a page of tags. */
export const tokenBytes = MiB;
export const registryErrorBytes = 64 * KiB;
export const tagListBytes = 64 * KiB;
/** RFC 9110 §15.4 leaves the number of redirects to the client. */
export const redirects = 10;
/** A file of credentials, and what a credential helper prints. */
export const authFileBytes = MiB;
export const credentialHelperBytes = 64 * KiB;
/** One certificate file; the largest bundle of a distribution has 230 KiB. Files in a registry's folder, and in the system's. */
export const certificateBytes = 4 * MiB;
export const certificateFiles = 256;
export const systemCertificateFiles = 1024;
/** TCP and TLS together; the first byte of an answer; the answer to the last request of an upload, which may copy the blob. */
export const registryConnectMs = 30_000;
export const registryAnswerMs = 60_000;
export const registryCommitMs = 300_000;
/** Without one byte, either way; and all of a document, such as a manifest or a token. */
export const registryIdleMs = 60_000;
export const registryDocumentMs = 300_000;
/** Attempts at one request; the longest wait between two; and the longest that a server may ask for. */
export const registryAttempts = 5;
export const retryWaitMs = 30_000;
export const retryAfterMs = 60_000;
/** A broken download counts its attempts anew after so many bytes. */
export const progressBytes = MiB;
/** What is read again and dropped when a server ignores Range. */
export const rangeSkipBytes = 64 * MiB;
/** Attempts at one upload: each begins at the first byte. */
export const uploadAttempts = 3;
/** Waiting for another process that writes to the same image layout. Its commit takes less than a second. */
export const folderLockMs = 60_000;
/** A kubeconfig and the files that it names: certificates and tokens have some KiB. */
export const kubeconfigBytes = MiB;
/** One answer of the API server: 110 Pods, a kubelet's most by default, have 400 KiB. And the wait for it. */
export const apiAnswerBytes = 16 * MiB;
export const apiTimeoutMs = 5000;
/** Secrets that are asked for one layer or container. */
export const tenantSecrets = 64;
/** Layers below a container, which overlayfs bounds, and mounts of it that are looked up. */
export const snapshotDepth = 1024;
export const containerMounts = 1024;
/** Seal records of one chain, and the size of one. */
export const sealRecords = 16;
export const sealRecordBytes = 16 * KiB;
