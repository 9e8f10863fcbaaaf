import { DecoderError } from "../errors.ts";
import { formatName, formatWritten, parseName, type RegistryName } from "../registry/name.ts";
import type { ArchiveForm } from "./archive-destination.ts";
import { type FileReference, parseNamed, parseTagged } from "./file-reference.ts";
import type { ImageSource } from "./source.ts";
import type {
  DestinationReference,
  OpenOptions,
  SourceReference,
  Transport,
  TransportSettings,
} from "./transport.ts";

/**
 * Every transport. All that depends on the kind of a reference is here or below. Its code is loaded when an image is opened:
 * each command knows all transports, and uses one or two.
 */
export const TRANSPORTS: readonly Transport[] = [
  {
    name: "oci",
    syntax: "oci:DIR[:TAG][@DIGEST]",
    source: (rest) =>
      imageIn(layoutName(rest), false, async (name) => (await import("./layout.ts")).openLayout(name)),
    destination: (rest) => {
      const name = withoutDigest(layoutName(rest));
      return {
        text: name.text,
        isPipe: false,
        holdsEncrypted: true,
        async open(options) {
          const { LayoutDestination } = await import("./layout-destination.ts");
          return await LayoutDestination.open(name, options);
        },
      };
    },
  },
  {
    name: "oci-archive",
    syntax: "oci-archive:FILE[:TAG][@DIGEST]",
    source: (rest) =>
      imageIn(parseTagged("oci-archive", rest), true, async (name, options) =>
        (await import("./archive-source.ts")).openOciArchive(name, options),
      ),
    destination: (rest) => archiveTo(withoutDigest(parseTagged("oci-archive", rest)), "oci"),
  },
  {
    name: "docker-archive",
    syntax: "docker-archive:FILE[:NAME]",
    source: (rest) =>
      imageIn(parseNamed("docker-archive", rest), true, async (name, options) =>
        (await import("./archive-source.ts")).openDockerArchive(name, options),
      ),
    destination: (rest) => archiveTo(parseDockerName(rest), "docker"),
  },
  {
    name: "docker",
    syntax: "docker://HOST/NAME[:TAG][@DIGEST]",
    source: imageInRegistry,
    destination: tagOfRegistry,
  },
  {
    name: "rootfs",
    syntax: "rootfs:DIR",
    files: (path) => ({
      kind: "files",
      text: `rootfs:${path}`,
      isPipe: false,
      open: async (options) => (await import("./files.ts")).openRootfs(path, options),
    }),
  },
  {
    name: "tar",
    syntax: "tar:FILE",
    files: (path) => ({
      kind: "files",
      text: `tar:${path}`,
      isPipe: path === PIPE,
      open: async (options) => (await import("./files.ts")).openTar(path, options),
    }),
  },
];

/** Alone, it means an archive on standard input or output; as FILE, it means that stream. */
const PIPE = "-";

export const STANDARD_INPUT: SourceReference = {
  kind: "image",
  text: PIPE,
  isPipe: true,
  opensSlowly: true,
  open: async (options) => (await import("./archive-source.ts")).openStandardInput(options),
};

export const STANDARD_OUTPUT: DestinationReference = archiveTo(
  {
    path: PIPE,
    tag: undefined,
    digest: undefined,
    text: `oci-archive:${PIPE}`,
  },
  "oci",
);

function layoutName(rest: string): FileReference {
  const name = parseTagged("oci", rest);
  if (name.path !== PIPE) return name;
  throw new DecoderError("USAGE", "a layout is a directory and can't come through a pipe", {
    hint: "use oci-archive:-",
  });
}

/** A name after "docker:". @throws DecoderError USAGE */
function registryName(rest: string): { readonly name: RegistryName; readonly text: string } {
  if (!rest.startsWith("//")) {
    throw new DecoderError("USAGE", `"docker:${rest}" is not the name of an image`, {
      hint: "write docker://HOST/NAME:TAG",
    });
  }
  const written = rest.slice(2);
  const name = parseName(written);
  return { name, text: `docker://${formatWritten(written, name)}` };
}

function imageInRegistry(rest: string, settings: TransportSettings): SourceReference {
  const { name, text } = registryName(rest);
  return {
    kind: "image",
    text,
    isPipe: false,
    opensSlowly: false,
    async open({ signal } = {}) {
      const { RegistrySource } = await import("./registry-source.ts");
      return await RegistrySource.open(name, settings, signal);
    },
  };
}

function tagOfRegistry(rest: string, settings: TransportSettings): DestinationReference {
  const { name, text } = registryName(rest);
  const { tag, digest } = name;
  if (tag === undefined || digest !== undefined) {
    throw new DecoderError(
      "USAGE",
      `${text} can't be a destination: the digest of a new image is not known beforehand`,
      {
        hint: "name a tag",
      },
    );
  }
  return {
    text,
    isPipe: false,
    holdsEncrypted: true,
    async open(options) {
      const { RegistryDestination } = await import("./registry-destination.ts");
      return await RegistryDestination.open({ ...name, tag }, text, settings, options);
    },
  };
}

function imageIn(
  name: FileReference,
  opensSlowly: boolean,
  open: (name: FileReference, options?: OpenOptions) => Promise<ImageSource>,
): SourceReference {
  return {
    kind: "image",
    text: name.text,
    isPipe: name.path === PIPE,
    opensSlowly,
    open: (options) => open(name, options),
  };
}

/** @throws DecoderError USAGE */
function withoutDigest(name: FileReference): FileReference {
  if (name.digest === undefined) return name;
  throw new DecoderError(
    "USAGE",
    `${name.text} can't be a destination: the digest of a new image is not known beforehand`,
    { hint: "name a tag" },
  );
}

/** The name under which Docker will load the image. @throws DecoderError USAGE */
function parseDockerName(rest: string): FileReference {
  const name = parseNamed("docker-archive", rest);
  if (name.tag === undefined) return name;
  const { registry, repository, tag, digest } = parseName(name.tag);
  if (digest === undefined)
    return { ...name, tag: formatName({ registry, repository, ...(tag && { tag }) }) };
  throw new DecoderError("USAGE", `${name.text}: a name in an archive has a tag and no digest`);
}

function archiveTo(name: FileReference, form: ArchiveForm): DestinationReference {
  return {
    text: name.text,
    isPipe: name.path === PIPE,
    holdsEncrypted: form !== "docker",
    async open(options) {
      const { ArchiveDestination } = await import("./archive-destination.ts");
      return await ArchiveDestination.open(name, form, options);
    },
  };
}
