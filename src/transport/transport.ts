import type { RegistryAccess } from "../registry/open.ts";
import type { ImageDestination } from "./destination.ts";
import type { ImageSource } from "./source.ts";

/**
 * One way to keep images: a row of the table in transports.ts. A function that is missing means that the transport can't
 * be used that way.
 */
export interface Transport {
  /** What stands before the first colon: "oci-archive". */
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

/** What reaching an image may take besides its name. */
export interface TransportSettings {
  readonly registry: RegistryAccess;
  /** Told of what people should know: a registry's own notes. */
  readonly onNote: (text: string) => void;
}

/**
 * Where an image is, as the user names it. A reference is only a name: until it is opened, it touches neither disk nor
 * network. What a transport needs to reach it (credentials, TLS) is bound when the name is parsed.
 */
export interface ImageReference {
  /** The name in its transport's notation: "oci:app:1.0". Messages and results show it. */
  readonly text: string;
  /** Whether the image comes through standard input, or goes to standard output. */
  readonly isPipe: boolean;
}

export interface SourceReference extends ImageReference {
  readonly kind: "image";
  /**
   * @param signal aborts the opening, which may have to read a whole archive
   * @throws DecoderError NOT_FOUND, BAD_IMAGE, USAGE, LIMIT, IO, INTERRUPTED
   */
  open(signal?: AbortSignal): Promise<ImageSource>;
}

export interface DestinationReference extends ImageReference {
  /**
   * Checks that the image can be written there, and prepares it. Nothing can be seen of it before `commit`.
   * @throws DecoderError EXISTS, NOT_FOUND, BAD_IMAGE, IO
   */
  open(options: DestinationOptions): Promise<ImageDestination>;
}

export interface DestinationOptions {
  /** Moves an existing tag, or replaces an existing archive. */
  readonly replace: boolean;
  /** The image that is read. Of its own repository or registry, a destination need not be sent much. */
  readonly source?: ImageSource;
  /** Aborts a `commit` that takes long. */
  readonly signal?: AbortSignal;
}

export interface FilesReference extends ImageReference {
  readonly kind: "files";
  /**
   * The files as one uncompressed tar archive, checked to be one.
   * @throws DecoderError NOT_FOUND, BAD_IMAGE, IO, INTERRUPTED, at the first chunk or later
   */
  tar(signal?: AbortSignal): AsyncGenerator<Uint8Array>;
}
