import { connect, type Socket } from "node:net";
import type { Bytes } from "../../encoding/bytes.ts";
import { DecoderError, describeSystemError } from "../../errors.ts";
import { printable } from "../../text.ts";
import { type Frame, FrameReader, MULTIPLEX, TTRPC } from "./framing.ts";
import { encodeAnswer, encodeCall, encodeFailure, failureOf, readCall } from "./messages.ts";

/** IDs of the connections on one socket: containerd calls the plugin on one, and the plugin calls containerd on the other. */
const PLUGIN = 1;
const RUNTIME = 2;
/** Types of ttrpc's messages. */
const REQUEST = 1;
const RESPONSE = 2;
const FIRST_STREAM = 1;
/** google.rpc.Code. */
const UNIMPLEMENTED = 12;
const INTERNAL = 13;
const MESSAGE_CHARS = 512;

/** Answers one of containerd's calls. */
export type Handler = (payload: Bytes) => Uint8Array | Promise<Uint8Array>;

/** A plugin's connection to containerd's NRI: ttrpc both ways over one socket. */
export class NriConnection {
  readonly #socket: Socket;
  readonly #handlers: ReadonlyMap<string, Handler>;
  readonly #trunk = new FrameReader(MULTIPLEX);
  readonly #calls = new FrameReader(TTRPC);
  readonly #answers = new FrameReader(TTRPC);
  readonly #registered = Promise.withResolvers<void>();
  readonly #ended = Promise.withResolvers<void>();

  /** @param handlers by method of the service nri.pkg.api.v1alpha1.Plugin */
  constructor(path: string, handlers: ReadonlyMap<string, Handler>) {
    this.#handlers = handlers;
    this.#socket = connect({ path });
    this.#socket.on("data", (bytes) => this.#receive(Buffer.from(bytes)));
    this.#socket.on("error", (cause) => {
      this.#fail(
        new DecoderError("TENANTS", `${path}: ${describeSystemError(cause)}`, { cause, hint: HINT }),
      );
    });
    this.#socket.on("close", () =>
      this.#fail(new DecoderError("TENANTS", `containerd closed ${path}`, { hint: HINT })),
    );
    // A caller may wait for only one of the two promises.
    for (const { promise } of [this.#registered, this.#ended]) promise.catch(() => undefined);
  }

  /** Calls containerd once. @throws DecoderError TENANTS */
  async call(service: string, method: string, payload: Uint8Array): Promise<void> {
    this.#send(RUNTIME, FIRST_STREAM, REQUEST, encodeCall(service, method, payload));
    await this.#registered.promise;
  }

  /** Rejects when the connection ends, and resolves when it is closed on purpose. @throws DecoderError TENANTS, LIMIT */
  async ended(): Promise<void> {
    await this.#ended.promise;
  }

  close(): void {
    this.#ended.resolve();
    this.#socket.destroy();
  }

  #fail(error: DecoderError): void {
    this.#registered.reject(error);
    this.#ended.reject(error);
    this.#socket.destroy();
  }

  #receive(bytes: Bytes): void {
    try {
      for (const { header, data } of this.#trunk.push(bytes)) {
        const connection = header.readUInt32BE(0);
        if (connection === PLUGIN) for (const frame of this.#calls.push(data)) void this.#answer(frame);
        if (connection === RUNTIME) for (const frame of this.#answers.push(data)) this.#settle(frame);
      }
    } catch (error) {
      if (!(error instanceof DecoderError)) throw error;
      this.#fail(error);
    }
  }

  async #answer({ header, data }: Frame): Promise<void> {
    if (header[8] !== REQUEST) return;
    const stream = header.readUInt32BE(4);
    this.#send(PLUGIN, stream, RESPONSE, await this.#answerTo(data));
  }

  async #answerTo(data: Bytes): Promise<Uint8Array> {
    const call = readCall(data);
    const handler = call && this.#handlers.get(call.method);
    if (!handler) return encodeFailure(UNIMPLEMENTED, "not a method of this plugin");
    try {
      return encodeAnswer(await handler(call.payload));
    } catch (error) {
      // containerd drops a plugin that does not answer, and some versions then start the container.
      const message =
        error instanceof DecoderError ? printable(error.message, MESSAGE_CHARS) : "internal error";
      return encodeFailure(INTERNAL, `ctd-decoder: ${message}`);
    }
  }

  #settle({ header, data }: Frame): void {
    if (header[8] !== RESPONSE) return;
    const failure = failureOf(data);
    if (failure === undefined) this.#registered.resolve();
    else
      this.#fail(
        new DecoderError("TENANTS", `containerd refused the plugin: ${printable(failure, MESSAGE_CHARS)}`),
      );
  }

  #send(connection: number, stream: number, type: number, data: Uint8Array): void {
    const header = Buffer.alloc(TTRPC.headerBytes);
    header.writeUInt32BE(data.length, 0);
    header.writeUInt32BE(stream, 4);
    header[8] = type;
    const outer = Buffer.alloc(MULTIPLEX.headerBytes);
    outer.writeUInt32BE(connection, 0);
    outer.writeUInt32BE(header.length + data.length, 4);
    if (!this.#socket.destroyed) this.#socket.write(Buffer.concat([outer, header, data]));
  }
}

const HINT = "containerd must run, with NRI enabled; the service starts this program again";
