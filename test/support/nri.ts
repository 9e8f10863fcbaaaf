import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import { field, varint } from "./payload.ts";

/** The service that the plugin offers, and the events of a configuration's answer. */
const PLUGIN = "nri.pkg.api.v1alpha1.Plugin";
const VALIDATE_EVENT = 14;

export interface NriPod {
  readonly name: string;
  readonly namespace: string;
  readonly uid: string;
}

interface Answer {
  /** google.rpc.Status's message, of a call that failed. */
  readonly failure?: string;
  /** Text fields by number, and the numbers of varint fields. */
  readonly texts: ReadonlyMap<number, Buffer>;
  readonly numbers: ReadonlyMap<number, number>;
}

interface NriOptions {
  /** Into how many bytes each write is cut. */
  readonly pieces?: number;
  readonly version?: string;
  readonly timeoutMs?: number;
}

/** containerd's side of NRI: one plugin, called over ttrpc in the multiplexer of containerd/nri. */
export class NriDouble {
  readonly #server: Server;
  readonly #pieces: number;
  readonly #configuration: Buffer;
  readonly #waiting = new Map<number, (answer: Answer) => void>();
  readonly #registration = Promise.withResolvers<string>();
  #socket: Socket | undefined;
  #received = Buffer.alloc(0);
  #streams = new Map<number, Buffer>();
  #stream = -1;

  static async start(path: string, options: NriOptions = {}): Promise<NriDouble> {
    const double = new NriDouble(options);
    double.#server.listen(path);
    await once(double.#server, "listening");
    return double;
  }

  private constructor({ pieces = 65536, version = "v2.2.7", timeoutMs = 2000 }: NriOptions) {
    this.#pieces = pieces;
    this.#configuration = Buffer.concat([
      field(2, Buffer.from("containerd")),
      field(3, Buffer.from(version)),
      numeric(5, timeoutMs),
    ]);
    this.#server = createServer((socket) => {
      this.#socket = socket;
      socket.on("data", (bytes) => this.#receive(Buffer.from(bytes)));
      socket.on("error", () => undefined);
    });
  }

  /** Waits for the plugin as containerd does. @returns its name and index, and whether it validates */
  async accept(): Promise<{
    readonly registered: string;
    readonly validates: boolean;
    readonly failure?: string;
  }> {
    const registered = await this.#registration.promise;
    const { numbers, failure } = await this.call("Configure", this.#configuration);
    if (failure !== undefined) return { registered, validates: false, failure };
    await this.call("Synchronize", numeric(3, 1));
    return { registered, validates: numbers.get(2) === 2 ** (VALIDATE_EVENT - 1) };
  }

  /** @returns why the container is refused, or undefined */
  async validate(
    pod: NriPod,
    containerId: string,
    mounts: readonly string[] = [],
  ): Promise<string | undefined> {
    const sandbox = [field(2, text(pod.name)), field(3, text(pod.uid)), field(4, text(pod.namespace))];
    const container = [
      field(1, text(containerId)),
      field(5, field(1, text("a label"))),
      ...mounts.map((source) => field(9, Buffer.concat([field(1, text("/dest")), field(3, text(source))]))),
    ];
    const request = Buffer.concat([field(1, Buffer.concat(sandbox)), field(2, Buffer.concat(container))]);
    const { failure, numbers, texts } = await this.call("ValidateContainerAdjustment", request);
    if (failure !== undefined) return failure;
    return numbers.get(1) === 1 ? texts.get(2)?.toString() : undefined;
  }

  /** Calls a method of the plugin. */
  async call(method: string, payload: Uint8Array): Promise<Answer> {
    this.#stream += 2;
    const { promise, resolve } = Promise.withResolvers<Answer>();
    this.#waiting.set(this.#stream, resolve);
    const request = [field(1, text(PLUGIN)), field(2, text(method)), field(3, payload)];
    this.#send(1, this.#stream, 1, Buffer.concat(request));
    return await promise;
  }

  /** Sends bytes that are not a frame of the protocol. */
  sendRaw(bytes: Uint8Array): void {
    this.#socket?.write(bytes);
  }

  stop(): void {
    this.#socket?.destroy();
    this.#server.close();
  }

  #receive(bytes: Buffer): void {
    this.#received = Buffer.concat([this.#received, bytes]);
    while (this.#received.length >= 8 && this.#received.length >= 8 + this.#received.readUInt32BE(4)) {
      const end = 8 + this.#received.readUInt32BE(4);
      const connection = this.#received.readUInt32BE(0);
      const before = this.#streams.get(connection) ?? Buffer.alloc(0);
      this.#streams.set(connection, Buffer.concat([before, this.#received.subarray(8, end)]));
      this.#received = this.#received.subarray(end);
      this.#takeMessages(connection);
    }
  }

  #takeMessages(connection: number): void {
    for (;;) {
      const bytes = this.#streams.get(connection) ?? Buffer.alloc(0);
      if (bytes.length < 10 || bytes.length < 10 + bytes.readUInt32BE(0)) return;
      const end = 10 + bytes.readUInt32BE(0);
      const [stream, data] = [bytes.readUInt32BE(4), bytes.subarray(10, end)];
      this.#streams.set(connection, bytes.subarray(end));
      if (connection === 1) this.#waiting.get(stream)?.(answerOf(data));
      if (connection === 2) this.#register(stream, data);
    }
  }

  #register(stream: number, data: Buffer): void {
    const { texts } = fieldsOf(data);
    const plugin = fieldsOf(texts.get(3) ?? Buffer.alloc(0)).texts;
    this.#send(2, stream, 2, Buffer.alloc(0));
    this.#registration.resolve(`${plugin.get(2)}-${plugin.get(1)}`);
  }

  #send(connection: number, stream: number, type: number, data: Buffer): void {
    const header = Buffer.alloc(10);
    header.writeUInt32BE(data.length, 0);
    header.writeUInt32BE(stream, 4);
    header[8] = type;
    const message = Buffer.concat([header, data]);
    for (let at = 0; at < message.length; at += this.#pieces) {
      const piece = message.subarray(at, at + this.#pieces);
      const outer = Buffer.alloc(8);
      outer.writeUInt32BE(connection, 0);
      outer.writeUInt32BE(piece.length, 4);
      this.#socket?.write(Buffer.concat([outer, piece]));
    }
  }
}

function answerOf(data: Buffer): Answer {
  const { texts } = fieldsOf(data);
  const status = texts.get(1) && fieldsOf(texts.get(1) as Buffer);
  if (status?.numbers.get(1)) {
    return { ...status, failure: status.texts.get(2)?.toString() ?? "" };
  }
  return fieldsOf(texts.get(2) ?? Buffer.alloc(0));
}

function fieldsOf(data: Buffer): { texts: Map<number, Buffer>; numbers: Map<number, number> } {
  const [texts, numbers] = [new Map<number, Buffer>(), new Map<number, number>()];
  let at = 0;
  const next = () => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = data[at++] ?? 0;
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < data.length) {
    const key = next();
    const value = next();
    if (key % 8 === 0) numbers.set(key >> 3, value);
    else {
      texts.set(key >> 3, data.subarray(at, at + value));
      at += value;
    }
  }
  return { texts, numbers };
}

function numeric(number: number, value: number): Buffer {
  return Buffer.concat([varint(number << 3), varint(value)]);
}

function text(value: string): Buffer {
  return Buffer.from(value);
}
