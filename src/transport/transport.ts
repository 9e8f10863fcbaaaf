import type { RegistryAccess } from "../registry/open.ts";
import type { ImageDestination } from "./destination.ts";
import type { TransferProgress } from "./progress.ts";
import type { FilesSource, ImageSource } from "./source.ts";

/**
 * One way to keep images: a row of the table in transports.ts. A function that is missing means that the transport can't
 * be used that way.
 */
export interface Transport {
  /** The part before the first colon: "oci-archive". */
  readonly name: string;
  /** "oci-archive:FILE[:TAG]", for help and hints. */
  readonly syntax: string;
  /** Names an image to read. @param rest follows "NAME:". @throws DecoderError USAGE */
  readonly source?: (rest: string, settings: TransportSettings) => SourceReference;
  /** Names a place to write an image to. @throws DecoderError USAGE */
  readonly destination?: (rest: string, settings: TransportSettings) => DestinationReference;
  /** Names files of which a one-layer image can be made. @throws DecoderError USAGE */
  readonly files?: (rest: string) => FilesReference;
}

/** What it takes to reach an image besides its name. */
export interface TransportSettings {
  readonly registry: RegistryAccess;
  /** Receives a registry's own notes, which people should see. */
  readonly onNote: (text: string) => void;
}

/**
 * Where an image is, as the user names it. A reference is only a name: until it is opened, it touches neither disk nor
 * network. What a transport needs to reach it (credentials, TLS) is bound when the name is parsed.
 */
interface ImageReference {
  /** The name in its transport's notation: "oci:app:1.0". Messages and results show it. */
  readonly text: string;
  /** Whether the image comes through standard input, or goes to standard output. */
  readonly isPipe: boolean;
}

export interface SourceReference extends ImageReference {
  readonly kind: "image";
  /** Whether opening reads more than manifests, as it does for an archive. */
  readonly opensSlowly: boolean;
  /** @throws DecoderError NOT_FOUND, BAD_IMAGE, USAGE, LIMIT, IO, INTERRUPTED */
  open(options?: OpenOptions): Promise<ImageSource>;
}

/** Opening may take long where an archive has to be read. */
export interface OpenOptions {
  readonly progress?: TransferProgress;
  /** Aborts the opening. */
  readonly signal?: AbortSignal;
}

export interface DestinationReference extends ImageReference {
  /** Whether an image with encrypted layers can be written there. */
  readonly holdsEncrypted: boolean;
  /**
   * Checks that the image can be written there, and prepares it. Nothing can be seen of it before `commit`.
   * @throws DecoderError EXISTS, NOT_FOUND, BAD_IMAGE, IO
   */
  open(options: DestinationOptions): Promise<ImageDestination>;
}

export interface DestinationOptions {
  /** Moves an existing tag, or replaces an existing archive. */
  readonly replace: boolean;
  /** The image that is read, where it was opened before. A registry saves requests for its own images. */
  readonly source?: ImageSource;
  /** Follows a `commit` that takes long. */
  readonly progress?: TransferProgress;
  /** Aborts it. */
  readonly signal?: AbortSignal;
}

export interface FilesReference extends ImageReference {
  readonly kind: "files";
  /** @throws DecoderError NOT_FOUND, BAD_IMAGE, IO, INTERRUPTED */
  open(options?: OpenOptions): Promise<FilesSource>;
}
