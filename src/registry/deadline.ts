import type { Socket } from "node:net";
import { cutOff, timedOut } from "./connection-error.ts";

/** A time limit for all steps of one connection. A signal ends it earlier, or at once if it is already aborted. */
export class Deadline {
  readonly #over = Promise.withResolvers<never>();
  readonly #timer: NodeJS.Timeout;
  readonly #signals: readonly AbortSignal[];
  readonly #giveUp = () => this.#over.reject(cutOff());

  constructor(milliseconds: number, ...signals: readonly AbortSignal[]) {
    this.#over.promise.catch(() => undefined);
    this.#timer = setTimeout(() => this.#over.reject(timedOut()), milliseconds);
    this.#signals = signals;
    for (const signal of signals) {
      if (signal.aborted) this.#giveUp();
      else signal.addEventListener("abort", this.#giveUp, { once: true });
    }
  }

  end(): void {
    clearTimeout(this.#timer);
    for (const signal of this.#signals) signal.removeEventListener("abort", this.#giveUp);
  }

  /** Returns a socket once it has emitted an event. Destroys it when it fails or time is up. */
  async wait(socket: Socket, event: string): Promise<Socket> {
    const done = Promise.withResolvers<void>();
    socket.once("error", done.reject);
    socket.once("close", () => done.reject(cutOff()));
    socket.once(event, () => done.resolve());
    await this.race(done.promise, socket);
    socket.off("error", done.reject);
    return socket;
  }

  /** Waits for work that goes on when time is up. */
  async limit<T>(work: Promise<T>): Promise<T> {
    return await Promise.race([work, this.#over.promise]);
  }

  async race<T>(work: Promise<T>, socket: Socket): Promise<T> {
    try {
      return await this.limit(work);
    } catch (error) {
      socket.on("error", () => undefined);
      socket.destroy();
      throw error;
    }
  }
}
