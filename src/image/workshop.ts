import { DecoderError } from "../errors.ts";
import type { Descriptor } from "../spec/descriptor.ts";
import { type BlobLocation, locateChecked } from "../transport/blob.ts";
import type { BlobOutput } from "../transport/blob-output.ts";
import type { ImageDestination } from "../transport/destination.ts";
import type { ImageSource } from "../transport/source.ts";
import type { LayerInput, LayerJob, LayerOutput } from "./layer-jobs.ts";
import type { LayerPool } from "./layer-pool.ts";
import type { BlobTransfer, Progress } from "./progress.ts";

export interface WorkshopOptions {
  readonly source: ImageSource;
  readonly destination: ImageDestination;
  readonly pool: LayerPool;
  readonly progress: Progress;
  /** Digest → what the blob is called in messages: "layer 2". */
  readonly names: ReadonlyMap<string, string>;
}

/** Where the blobs of one image are worked on: read from the source, changed on the pool's threads, put in the target. */
export class Workshop {
  readonly #source: ImageSource;
  readonly #destination: ImageDestination;
  readonly #pool: LayerPool;
  readonly #progress: Progress;
  readonly #copies = new Map<string, Promise<BlobTransfer>>();
  readonly #names: ReadonlyMap<string, string>;

  constructor({ source, destination, pool, progress, names }: WorkshopOptions) {
    this.#source = source;
    this.#destination = destination;
    this.#pool = pool;
    this.#progress = progress;
    this.#names = names;
  }

  /** Makes a blob of the target from one of the source. @throws what the job throws */
  async make(
    descriptor: Descriptor,
    job: (input: LayerInput, output: BlobOutput) => LayerJob,
  ): Promise<LayerOutput> {
    const name = this.#names.get(descriptor.digest) ?? `blob ${descriptor.digest}`;
    const input = { location: await this.#locate(descriptor), name, descriptor: pick(descriptor) };
    const output = await this.#destination.newOutput();
    const made = await this.#pool.run(job(input, output), (count) => this.#progress.read(count));
    await this.#destination.adopt(output, made.digest);
    return made;
  }

  /** Brings a blob into the target as it is, once. @returns whether its bytes had to be moved */
  copy(descriptor: Descriptor): Promise<BlobTransfer> {
    const known = this.#copies.get(descriptor.digest);
    if (known !== undefined) return known;
    const copy = this.#copy(descriptor);
    this.#copies.set(descriptor.digest, copy);
    return copy;
  }

  async #copy(descriptor: Descriptor): Promise<BlobTransfer> {
    const taken = await this.#destination.take(descriptor, this.#source);
    if (taken === undefined && !(await this.#isElsewhere(descriptor))) {
      await this.make(descriptor, (input, output) => ({ kind: "copy", ...input, output }));
      return "copied";
    }
    this.#progress.read(descriptor.size);
    return taken === "mounted" ? "mounted" : "none";
  }

  /** Whether a blob lies at its `urls` only, as foreign layers do: what isn't in the source need not be in the target. */
  async #isElsewhere(descriptor: Descriptor): Promise<boolean> {
    if (!Array.isArray(descriptor["urls"]) || descriptor["urls"].length === 0) return false;
    return await this.#source.locate(descriptor).then(() => false, isMissing);
  }

  #locate(descriptor: Descriptor): Promise<BlobLocation> {
    return locateChecked(this.#source, descriptor);
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof DecoderError && error.code === "NOT_FOUND";
}

/** What a job needs: annotations, which may be long, would be copied to its thread for nothing. */
function pick({ digest, size, mediaType }: Descriptor): LayerInput["descriptor"] {
  return { digest, size, mediaType };
}
