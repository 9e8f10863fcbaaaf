import { Client, credentials, type ServiceError, status } from "@grpc/grpc-js";
import { field } from "../support/payload.ts";

const IMAGE_SERVICE = "/runtime.v1.ImageService";

/** The few calls of the CRI's `runtime.v1.ImageService` that a pull needs, with messages written by hand. */
export class ImageService {
  readonly #client: Client;

  constructor(socket: string) {
    this.#client = new Client(`unix://${socket}`, credentials.createInsecure());
  }

  /** Pulls an image. Rejects with a `ServiceError`, as a kubelet would see it. */
  pull(reference: string, signal?: AbortSignal): Promise<void> {
    return this.#call("PullImage", imageRequest(reference), signal);
  }

  /** Removes an image, and by garbage collection all that only it used. */
  remove(reference: string): Promise<void> {
    return this.#call("RemoveImage", imageRequest(reference));
  }

  /** Resolves when the service answers. */
  async ready(): Promise<void> {
    await this.#call("ListImages", Buffer.alloc(0));
  }

  close(): void {
    this.#client.close();
  }

  #call(method: string, request: Buffer, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const identity = (bytes: Buffer) => bytes;
      const done = (error: ServiceError | null) => (error ? reject(error) : resolve());
      const call = this.#client.makeUnaryRequest(
        `${IMAGE_SERVICE}/${method}`,
        identity,
        identity,
        request,
        { deadline: Date.now() + 60_000 },
        done,
      );
      signal?.addEventListener("abort", () => call.cancel(), { once: true });
    });
  }
}

/** PullImageRequest and RemoveImageRequest: 1 ImageSpec { 1 image }. */
function imageRequest(reference: string): Buffer {
  return field(1, field(1, Buffer.from(reference)));
}

export function isCancelled(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === status.CANCELLED;
}
