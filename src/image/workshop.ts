import type { Descriptor } from "../spec/descriptor.ts";
import { type BlobLocation, isMissing, locateChecked } from "../transport/blob.ts";
import type { BlobOutput } from "../transport/blob-output.ts";
import type { ImageDestination } from "../transport/destination.ts";
import type { ImageSource } from "../transport/source.ts";
import type { LayerInput, LayerJob, LayerOutput } from "./layer-jobs.ts";
import type { LayerPool } from "./layer-pool.ts";
import type { BlobTransfer, Progress } from "./progress.ts";

interface WorkshopOptions {
  readonly source: ImageSource;
  readonly destination: ImageDestination;
  readonly pool: LayerPool;
  readonly progress: Progress;
  /** Digest → the blob in messages: "layer 2". */
  readonly names: ReadonlyMap<string, string>;
}

/** Works on the blobs of one image: reads them from the source, changes them on the pool's threads, writes them to the destination. */
export class Workshop {
  readonly #source: ImageSource;
  readonly #destination: ImageDestination;
  readonly #pool: LayerPool;
  readonly #progress: Progress;
  readonly #copies = new Map<string, Promise<BlobTransfer>>();
  readonly #names: ReadonlyMap<string, string>;
  readonly #writing: Promise<LayerOutput>[] = [];

  constructor({ source, destination, pool, progress, names }: WorkshopOptions) {
    this.#source = source;
    this.#destination = destination;
    this.#pool = pool;
    this.#progress = progress;
    this.#names = names;
  }

  /** Makes a blob of the destination from one of the source. @throws what the job throws */
  async make(
    descriptor: Descriptor,
    job: (input: LayerInput, output: BlobOutput) => LayerJob,
  ): Promise<LayerOutput> {
    const name = this.#names.get(descriptor.digest) ?? `blob ${descriptor.digest}`;
    const input = { location: await this.#locate(descriptor), name, descriptor: pick(descriptor) };
    const made = this.#make((output) => job(input, output));
    this.#writing.push(made);
    return await made;
  }

  async #make(job: (output: BlobOutput) => LayerJob): Promise<LayerOutput> {
    const output = await this.#destination.newOutput();
    const made = await this.#pool.run(job(output), (count) => this.#progress.advance(count));
    await this.#destination.adopt(output, made.digest);
    return made;
  }

  /**
   * Ends the jobs, and waits until nothing more is written: after a failure, the destination is removed, which another
   * layer's blob would bring back.
   */
  async close(): Promise<void> {
    await this.#pool.close();
    await Promise.allSettled(this.#writing);
  }

  /** Brings a blob into the destination as it is, once. */
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
    this.#progress.advance(descriptor.size);
    return taken === "mounted" ? "mounted" : "none";
  }

  /** Whether a blob is at its `urls` only, as foreign layers are. The destination then needs it no more than the source. */
  async #isElsewhere(descriptor: Descriptor): Promise<boolean> {
    if (!Array.isArray(descriptor["urls"]) || descriptor["urls"].length === 0) return false;
    return await this.#source.locate(descriptor).then(() => false, isMissing);
  }

  #locate(descriptor: Descriptor): Promise<BlobLocation> {
    return locateChecked(this.#source, descriptor);
  }
}

/** What a job needs of a descriptor. Its annotations may be long, and would be copied to the thread for nothing. */
function pick({ digest, size, mediaType }: Descriptor): LayerInput["descriptor"] {
  return { digest, size, mediaType };
}
