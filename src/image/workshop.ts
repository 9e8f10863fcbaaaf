import { DecoderError } from "../errors.ts";
import type { Descriptor } from "../spec/descriptor.ts";
import { type Blob, locateChecked } from "../transport/blob.ts";
import type { ImageTarget } from "../transport/destination.ts";
import type { ImageSource } from "../transport/source.ts";
import type { LayerInput, LayerJob, LayerOutput } from "./layer-jobs.ts";
import type { LayerPool } from "./layer-pool.ts";
import type { Progress } from "./progress.ts";

/** Where the blobs of one image are worked on: read from the source, changed on the pool's threads, put in the target. */
export class Workshop {
  readonly #source: ImageSource;
  readonly #target: ImageTarget;
  readonly #pool: LayerPool;
  readonly #progress: Progress;
  readonly #copies = new Map<string, Promise<void>>();

  constructor(source: ImageSource, target: ImageTarget, pool: LayerPool, progress: Progress) {
    this.#source = source;
    this.#target = target;
    this.#pool = pool;
    this.#progress = progress;
  }

  /** Makes a blob of the target from one of the source. @throws what the job throws */
  async make(
    descriptor: Descriptor,
    job: (input: LayerInput, output: string) => LayerJob,
  ): Promise<LayerOutput> {
    const output = this.#target.newFile();
    const input = { blob: await this.#locate(descriptor), descriptor: pick(descriptor) };
    const made = await this.#pool.run(job(input, output), (count) => this.#progress.read(count));
    await this.#target.adopt(output, made.digest);
    return made;
  }

  /** Brings a blob into the target as it is, once. */
  copy(descriptor: Descriptor): Promise<void> {
    const known = this.#copies.get(descriptor.digest);
    if (known !== undefined) return known;
    const copy = this.#copy(descriptor);
    this.#copies.set(descriptor.digest, copy);
    return copy;
  }

  async #copy(descriptor: Descriptor): Promise<void> {
    if (
      (await this.#target.has(descriptor.digest, descriptor.size)) ||
      (await this.#isElsewhere(descriptor))
    ) {
      this.#progress.read(descriptor.size);
    } else {
      await this.make(descriptor, (input, output) => ({ kind: "copy", ...input, output }));
    }
  }

  /** Whether a blob lies at its `urls` only, as foreign layers do: what isn't in the source need not be in the target. */
  async #isElsewhere({ digest, urls }: Descriptor): Promise<boolean> {
    if (!Array.isArray(urls) || urls.length === 0) return false;
    return await this.#source.blobs.locate(digest).then(() => false, isMissing);
  }

  #locate(descriptor: Descriptor): Promise<Blob> {
    return locateChecked(this.#source.blobs, descriptor);
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof DecoderError && error.code === "NOT_FOUND";
}

/** What a job needs: annotations, which may be long, would be copied to its thread for nothing. */
function pick({ digest, size, mediaType }: Descriptor): LayerInput["descriptor"] {
  return { digest, size, mediaType };
}
