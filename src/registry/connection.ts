import type { Socket } from "node:net";
import * as LIMITS from "../system-limits.ts";
import { cutOff, timedOut } from "./connection-error.ts";

/** Bytes that are written under one time limit. On a slow line, a whole chunk may take minutes. */
const PIECE_BYTES = 256 * 1024;

/** A socket that is read on demand, and that reports when written bytes have left. */
export class Connection {
  readonly #socket: Socket;
  readonly #received: Buffer[] = [];
  #waitingBytes = 0;
  /** Set once no more bytes will arrive. `error` is absent if the server closed the connection properly. */
  #end: { readonly error?: Error } | undefined;
  #arrival: (() => void) | undefined;
  #departure: (() => void) | undefined;

  /** Whether an earlier request used this connection. The server may close it just as the next request is sent. */
  wasKept = false;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", (bytes: Buffer) => this.#receive(bytes));
    socket.once("end", () => this.#finish({}));
    socket.on("error", (error: Error) => this.#finish({ error }));
    socket.once("close", () => this.#finish({}));
    socket.resume();
  }

  /** Whether a new request may be sent: no bytes of an earlier answer are left, and the connection is open. */
  get isIdle(): boolean {
    return this.#end === undefined && this.#waitingBytes === 0 && !this.#socket.destroyed;
  }

  /** Returns the next bytes as they arrived, or undefined at the end. Nothing else refers to them. @throws Error of the system */
  async read(): Promise<Buffer | undefined> {
    for (;;) {
      const bytes = this.#received.shift();
      if (bytes !== undefined) {
        this.#waitingBytes -= bytes.length;
        if (this.#waitingBytes < LIMITS.unreadBytes) this.#socket.resume();
        return bytes;
      }
      if (this.#end?.error !== undefined) throw this.#end.error;
      if (this.#end !== undefined) return undefined;
      await new Promise<void>((resolve) => {
        this.#arrival = resolve;
      });
    }
  }

  /** Puts back bytes that belong to what follows. */
  unread(bytes: Buffer): void {
    if (bytes.length === 0) return;
    this.#received.unshift(bytes);
    this.#waitingBytes += bytes.length;
  }

  /**
   * Returns the bytes before an end mark, and skips the mark.
   * @returns undefined if the mark does not follow within `most` bytes
   * @throws Error of the system, also when the connection ends first
   */
  async readUntil(mark: string, most: number): Promise<string | undefined> {
    let bytes = await this.#readSome();
    for (;;) {
      const end = bytes.indexOf(mark);
      if (end >= 0 && end <= most) {
        this.unread(bytes.subarray(end + mark.length));
        return bytes.toString("latin1", 0, end);
      }
      if (bytes.length >= most + mark.length) return undefined;
      bytes = Buffer.concat([bytes, await this.#readSome()]);
    }
  }

  /**
   * Sends bytes, and returns once their memory may be used again.
   * @returns false when the connection has ended: reading shows why
   */
  async write(bytes: Uint8Array): Promise<boolean> {
    for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
      if (!(await this.#writePiece(bytes.subarray(at, at + PIECE_BYTES)))) return false;
    }
    return true;
  }

  /** Closes the connection. @param error is thrown by every pending and later read */
  destroy(error: Error = cutOff()): void {
    this.#received.length = 0;
    this.#waitingBytes = 0;
    this.#end = { error };
    this.#finish({ error });
    this.#socket.destroy();
  }

  async #writePiece(piece: Uint8Array): Promise<boolean> {
    if (this.#end !== undefined) return false;
    const timer = setTimeout(() => this.destroy(timedOut()), LIMITS.registryIdleMs);
    await new Promise<void>((resolve) => {
      this.#departure = resolve;
      this.#socket.write(piece, (error) => {
        if (error) this.#finish({ error });
        resolve();
      });
    });
    clearTimeout(timer);
    return this.#end === undefined;
  }

  async #readSome(): Promise<Buffer> {
    const bytes = await this.read();
    if (bytes === undefined) throw cutOff();
    return bytes;
  }

  #receive(bytes: Buffer): void {
    if (this.#end !== undefined) return;
    this.#received.push(bytes);
    this.#waitingBytes += bytes.length;
    if (this.#waitingBytes >= LIMITS.unreadBytes) this.#socket.pause();
    this.#arrival?.();
  }

  #finish(end: { readonly error?: Error }): void {
    this.#end ??= end;
    this.#arrival?.();
    this.#departure?.();
  }
}
