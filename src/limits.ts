/** Every cap on work that an attacker can choose. Sizes are in bytes, times in milliseconds. */
const KiB = 1024;
const MiB = 1024 * KiB;
const GiB = 1024 * MiB;

/** containerd's payload. It comes from a gRPC message, which containerd caps at 16 MiB. */
export const payloadBytes = 16 * MiB;
/** containerd writes the payload at once. With 64 pulls on two processors, it has taken 10 s to arrive. */
export const payloadWaitMs = 30_000;
/** One annotation. Registries refuse manifests over 4 MiB, so no pulled image has a longer one. */
export const annotationBytes = 4 * MiB;
/** One wrapped key, decoded. An RSA-4096 recipient takes 1 KiB, and a packet may have thousands of recipients. */
export const packetBytes = 3 * MiB;
/** Annotations with wrapped keys: one per scheme, and one per key provider. */
export const wrappedKeyAnnotations = 64;
/** Wrapped keys in one annotation. Each added set of recipients appends one. */
export const packets = 1024;
/** The unwrapped private options. Real ones have 200 bytes. */
export const privateOptionsBytes = 64 * KiB;
/** The decoded public options. Real ones have 110 bytes. */
export const publicOptionsBytes = 64 * KiB;
/** Private-key operations for one layer, and their processor time. */
export const unwrapAttempts = 4096;
export const unwrapCpuMs = 10_000;
/** Elapsed time of the same operations. A token or key provider may reach its deadline for each packet. */
export const unwrapClockMs = 120_000;
/** Key files and folders. A keyring with photos can reach some 100 KiB. */
export const keyFileBytes = MiB;
export const keyFiles = 1024;
export const keyEntries = 4096;
export const keyDirectoryDepth = 16;
/** RFC 7518 §4.3 requires at least 2048 bits. The cost of a private operation grows with the cube of the size. */
export const rsaBitsMin = 2048;
export const rsaBitsMax = 8192;
/** PBKDF2 iterations of an encrypted key. OpenSSL uses 2,048; careful users choose 1,000,000. */
export const pbkdf2Iterations = 10_000_000;
/** Processor time to derive the keys of all encrypted key files. One key at the iteration cap takes half of it. */
export const keyDerivationCpuMs = 10_000;
/** Memory for scrypt. OpenSSL's default parameters take 16 MiB. */
export const scryptBytes = 128 * MiB;
/** Parallel lanes of scrypt, which run one after another. */
export const scryptParallel = 16;
/** Characters of an error message that are shown. Pod events are cut at 1 KiB, terminals are not. */
export const messageChars = 4096;
/** Parameters of one JWE header. RFC 7516 and RFC 7518 define 18, and writers use 5. */
export const jweHeaderParameters = 64;
/** OpenPGP packets in one message or keyring. Each recipient, key, user ID and signature is one packet. */
export const pgpPackets = 16384;
/** The encrypted part of an OpenPGP message, before and after inflating. Real ones have 300 bytes, or 1 KiB if signed. */
export const pgpContentBytes = 64 * KiB;
/** Argon2 memory for a protected OpenPGP key, in KiB as a power of two. The usual exponent is 16. */
export const argon2MemoryExponent = 18;
/** Argon2 work, in passes times KiB. Four passes over the most memory, or 64 over 16 MiB, take about 2 s. */
export const argon2Work = 2 ** 20;
/** CMS: recipients of one packet, segments of its content, and nested elements of indefinite length. */
export const cmsRecipients = 4096;
export const cmsSegments = 4096;
export const cmsDepth = 16;
/** The wait for gpg to find a recipient in its keyring, which may be on a slow disk. */
export const gpgTimeoutMs = 30_000;
/** PKCS#11: a key file, policy or PIN file, and the recipients of one packet. */
export const pkcs11FileBytes = 16 * KiB;
export const pkcs11Recipients = 1024;
/** A key provider's answer, and the wait for it. */
export const providerOutputBytes = MiB;
export const providerTimeoutMs = 30_000;
/** Open files of containerd that are examined. A node with 110 Pods has some 1,000. */
export const openFiles = 65_536;
/** Bytes of a layer compared with blobs of the content store. The second cap applies when several begin alike. */
export const compareBytes = 64 * KiB;
export const compareBytesMax = 16 * MiB;
/** The search for a layer's manifest: blobs held by pulls, all blobs, all manifests, and the time for each. */
export const leasedBlobs = 4096;
export const storeBlobs = 200_000;
export const storeManifests = 20_000;
export const storeScanMs = 3000;
/**
 * Descriptors of one blob that are tried, and how many of them one manifest may contribute. If several open, each is
 * verified by hashing the blob. The byte cap allows a layer of 10 GiB three times.
 */
export const candidates = 64;
export const candidatesOfManifest = 4;
export const candidatesHashBytes = 32 * GiB;
/** One file of containerd's configuration, and the number of files that it imports. */
export const configBytes = MiB;
export const configFiles = 256;
/** A signer's certificate or its issuer's. Fulcio's have 1 KiB and 20 extensions. */
export const signerCertificateBytes = 64 * KiB;
export const certificateExtensions = 64;
/** Certificates from a signer's to a root, and issuers that are tried on the way. */
export const certificateChain = 4;
export const certificateAttempts = 32;
/** Public keys in one file of a policy, and entries of each list in a trusted root. */
export const trustKeys = 64;
export const trustedRootEntries = 64;
/** Signed certificate timestamps of one certificate, then log entries and timestamps of one signature. */
export const certificateTimestamps = 16;
export const logEntries = 16;
export const signatureTimestamps = 16;
/** One RFC 3161 timestamp with its certificates. */
export const timestampBytes = 64 * KiB;
/** An attestation, and the subjects of its statement. The SBOM of a large image has some MiB. */
export const attestationBytes = 16 * MiB;
export const statementSubjects = 1024;
/** A name in a certificate that is matched against a regular expression. */
export const identityChars = 1024;
/** A checksum file, and its lines. */
export const sumsBytes = 16 * MiB;
export const sums = 65_536;
/** A file with an Ed25519 signature. Ed25519 hashes it twice, so it is held in memory. */
export const ed25519FileBytes = 256 * MiB;
/** A manifest or index; registries refuse longer ones. Then all those of one image, and their nesting. */
export const manifestBytes = 4 * MiB;
export const imageDocuments = 2048;
export const imageDocumentsBytes = 64 * MiB;
export const imageConfigBytes = 8 * MiB;
export const indexEntries = 1024;
export const indexDepth = 8;
/** Layers of one manifest. overlayfs, which mounts them all, allows 500. */
export const layers = 1024;
/** Entries of an image archive. Each layer is one; older versions of Docker wrote three. */
export const archiveEntries = 65_536;
/** A policy, and its scopes. A thousand repositories with a key each take 200 KiB. */
export const policyBytes = 4 * MiB;
export const policyScopes = 16_384;
/** A key, keyring, certificate chain or trusted root that a policy names. */
export const trustFileBytes = MiB;
/** Signatures under one tag, manifests that refer to an image, and the size of one payload, envelope or bundle. */
export const signatures = 64;
export const referrers = 64;
export const signatureBytes = MiB;
/** Entries of a layout's index.json that are searched for referrers of an image. */
export const layoutEntries = 1024;
/** Signatures times requirements. The costliest check, of a certificate and its log entry, takes 50 ms. */
export const signatureChecks = 512;
/** The image verifier's own deadline. At containerd's deadline, 10 s by default, the reason would be lost. */
export const verifierMs = 8000;
/** The descriptor that containerd passes to a verifier, and the line of the verdict that a Pod's event shows. */
export const verifierInputBytes = 64 * KiB;
export const verifierLineChars = 512;
/** Repositories that a blob was pulled from, and image checks before one layer is decrypted. */
export const blobSources = 64;
export const gateChecks = 64;
/** The longest wait that `trust check` accepts on its command line. */
export const trustCheckMs = 3_600_000;
/** How long an accepted verdict holds without the registry. Then the size of a verdict, and verdicts per digest. */
export const verdictLifeMs = 86_400_000;
export const verdictBytes = 16 * KiB;
export const verdictsOfDigest = 256;
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
/** Time without a byte in either direction, and for a whole document such as a manifest or token. */
export const registryIdleMs = 60_000;
export const registryDocumentMs = 300_000;
/** Attempts at one request, the longest wait between two, and the longest wait that a server may request. */
export const registryAttempts = 5;
export const retryWaitMs = 30_000;
export const retryAfterMs = 60_000;
/** Progress after which an interrupted download starts counting its attempts afresh. */
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
/**
 * containerd's metadata database: pages, their nesting, one page, and all of them. 1,000 images take some 10 MiB. Where an answer
 * must be whole, more pages are read: each blob with labels has one.
 */
export const metadataPages = 4096;
export const metadataPagesMost = 65_536;
export const metadataDepth = 16;
export const metadataPageBytes = 16 * MiB;
export const metadataBytes = 256 * MiB;
/** One message of NRI. containerd/ttrpc, PROTOCOL.md, has the same limit. */
export const ttrpcBytes = 4 * MiB;
/** A message between this process and a helper, which holds an NSS or PKCS#11 library. */
export const helperMessageBytes = MiB;
/** Nesting of JSON. A manifest has five levels. */
export const jsonDepth = 64;
/** YAML: uses of an alias, since each multiplies the text, and documents of a file. */
export const yamlAliases = 16;
export const yamlDocuments = 256;
/** PEM blocks of a recipient's file, of a key file, and the bags of a PKCS#12 file. */
export const recipientPemBlocks = 64;
export const keyPemBlocks = 256;
export const pkcs12Bags = 64;
/** Passwords of the payload that are also tried on each key of the keys path. */
export const sharedPasswords = 16;
/** An X.509 name in a message: its parts, and the bytes of a value. */
export const nameRdns = 64;
export const nameValueBytes = 256;
/** Octets of an OID. No registered one is longer, and the conversion takes the square of the length. */
export const oidOctets = 32;
/** RFC 5280 §4.1.2.2 and §4.2.1.2: serial numbers and key identifiers have at most 20 octets. */
export const recipientIdOctets = 32;
/** Certificates and attributes of one RFC 3161 timestamp. */
export const timestampItems = 64;
/** The head of an answer, which Node.js bounds alike; the line with a chunk's size; answers such as 103 before the real one. */
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
