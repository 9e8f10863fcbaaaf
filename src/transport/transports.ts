import { DecoderError } from "../errors.ts";
import { stoppable } from "../io/pipe.ts";
import { formatWritten, parseName, type RegistryName } from "../registry/name.ts";
import { ArchiveDestination } from "./archive-destination.ts";
import { openArchiveFile } from "./archive-file.ts";
import { openDockerArchive, openOciArchive, openStandardInput } from "./archive-source.ts";
import { readBlob } from "./blob.ts";
import { type FileReference, parseNamed, parseTagged } from "./file-reference.ts";
import { openLayout } from "./layout.ts";
import { LayoutDestination } from "./layout-destination.ts";
import { rootfsEntries } from "./rootfs.ts";
import { packTar, tarEntries } from "./tar.ts";
import type {
  DestinationReference,
  FilesReference,
  SourceReference,
  Transport,
  TransportSettings,
} from "./transport.ts";

/** Every transport. All that depends on the kind of a reference is here or below. */
export const TRANSPORTS: readonly Transport[] = [
  {
    name: "oci",
    syntax: "oci:DIR[:TAG]",
    source: (rest) => imageIn(layoutName(rest), openLayout),
    destination: (rest) => {
      const name = layoutName(rest);
      return { text: name.text, isPipe: false, open: (options) => LayoutDestination.open(name, options) };
    },
  },
  {
    name: "oci-archive",
    syntax: "oci-archive:FILE[:TAG]",
    source: (rest) => imageIn(parseTagged("oci-archive", rest), openOciArchive),
    destination: (rest) => archiveTo(parseTagged("oci-archive", rest)),
  },
  {
    name: "docker-archive",
    syntax: "docker-archive:FILE[:NAME]",
    source: (rest) => imageIn(parseNamed("docker-archive", rest), openDockerArchive),
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
    files: (path) => filesIn(`rootfs:${path}`, false, () => packTar(rootfsEntries(path))),
  },
  {
    name: "tar",
    syntax: "tar:FILE",
    files: (path) => filesIn(`tar:${path}`, path === PIPE, (signal) => checkedTar(path, signal)),
  },
];

/** Alone, it stands for an archive on standard input or output; as a FILE, for that stream. */
const PIPE = "-";

export const STANDARD_INPUT: SourceReference = {
  kind: "image",
  text: PIPE,
  isPipe: true,
  open: openStandardInput,
};

export const STANDARD_OUTPUT: DestinationReference = archiveTo({ path: PIPE, tag: undefined, text: PIPE });

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
    async open(signal) {
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
    async open(options) {
      const { RegistryDestination } = await import("./registry-destination.ts");
      return await RegistryDestination.open({ ...name, tag }, text, settings, options);
    },
  };
}

function imageIn(
  name: FileReference,
  open: (name: FileReference, signal?: AbortSignal) => ReturnType<SourceReference["open"]>,
): SourceReference {
  return {
    kind: "image",
    text: name.text,
    isPipe: name.path === PIPE,
    open: (signal) => open(name, signal),
  };
}

function archiveTo(name: FileReference): DestinationReference {
  return {
    text: name.text,
    isPipe: name.path === PIPE,
    open: (options) => ArchiveDestination.open(name, options),
  };
}

function filesIn(text: string, isPipe: boolean, tar: FilesReference["tar"]): FilesReference {
  return { kind: "files", text, isPipe, tar: (signal) => stoppable(tar(signal), signal) };
}

/** A tar archive's bytes. It is read once before, so that nothing else becomes a layer. */
async function* checkedTar(path: string, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
  const { range, name, close } = await openArchiveFile(path, signal);
  try {
    for await (const _entry of tarEntries(stoppable(readBlob(range), signal), name)) {
      // The entries themselves don't matter: each follows the one before, up to the end.
    }
    yield* readBlob(range);
  } finally {
    await close();
  }
}
