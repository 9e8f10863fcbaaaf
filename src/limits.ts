/**
 * Every cap on work that an attacker can choose, for one layer: its payload, keys and manifests. Sizes are in bytes, times in
 * milliseconds. system-limits.ts has all other caps.
 */
const KiB = 1024;
const MiB = 1024 * KiB;
const GiB = 1024 * MiB;

/** containerd's payload. It comes from a gRPC message, which containerd caps at 16 MiB. */
export const payloadBytes = 16 * MiB;
/** containerd writes the payload at once. With 64 pulls on two processors, it has taken 10 s to arrive. */
export const payloadWaitMs = 30_000;
/** Lists and objects in one another in a JSON document: as many as Go's encoding/json reads. */
export const jsonNesting = 10_000;
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
/** A manifest or index; registries refuse longer ones. */
export const manifestBytes = 4 * MiB;
/** Layers of one manifest. overlayfs, which mounts them all, allows 500. */
export const layers = 1024;
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
/**
 * containerd's metadata database: pages, their nesting, one page, and all of them. 1,000 images take some 10 MiB. Where an answer
 * must be whole, more pages are read: each blob with labels has one.
 */
export const metadataPages = 4096;
export const metadataPagesMost = 65_536;
export const metadataDepth = 16;
export const metadataPageBytes = 16 * MiB;
export const metadataBytes = 256 * MiB;
/** A message between this process and a helper, which holds an NSS or PKCS#11 library. */
export const helperMessageBytes = MiB;
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
