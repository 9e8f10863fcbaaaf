import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Client, credentials, type ServiceError, status } from "@grpc/grpc-js";
import { ProtobufMessage } from "../../src/encoding/protobuf-message.ts";
import { field, varint } from "../support/payload.ts";

const IMAGE_SERVICE = "/runtime.v1.ImageService";

/**
 * The few calls of the CRI's `runtime.v1.ImageService` that a pull needs, with messages written by hand. They have no
 * deadline: on a loaded machine a pull may take minutes, and the test's own time limit ends a hang.
 */
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

const RUNTIME_SERVICE = "/runtime.v1.RuntimeService";
/** CRI: NamespaceMode NODE. */
const NODE_MODE = 2;
const POLL_MS = 50;

/** A Pod as the kubelet passes it. It uses the node's network, so that no network plugin is needed. */
export interface CriPod {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly annotations?: Readonly<Record<string, string>>;
  /** RuntimeClass's handler. */
  readonly handler?: string;
  /** Folder for the logs of its containers. */
  readonly logs: string;
}

export interface CriContainer {
  readonly image: string;
  readonly args?: readonly string[];
  readonly annotations?: Readonly<Record<string, string>>;
  /** Images mounted as volumes: path in the container → reference. */
  readonly volumes?: Readonly<Record<string, string>>;
}

/** The calls of the CRI's `runtime.v1.RuntimeService` by which a kubelet runs a Pod. */
export class RuntimeService {
  readonly #client: Client;

  constructor(socket: string) {
    this.#client = new Client(`unix://${socket}`, credentials.createInsecure());
  }

  close(): void {
    this.#client.close();
  }

  /**
   * Runs a Pod with one container to its end.
   * @returns the container's output. Rejects with a `ServiceError` where a kubelet would see one
   */
  async run(pod: CriPod, container: CriContainer): Promise<string> {
    const sandbox = sandboxConfig(pod);
    const id = textOf(
      await this.#call("RunPodSandbox", message(field(1, sandbox), text(2, pod.handler ?? ""))),
    );
    try {
      const request = message(text(1, id), field(2, containerConfig(container)), field(3, sandbox));
      const containerId = textOf(await this.#call("CreateContainer", request));
      await this.#call("StartContainer", text(1, containerId));
      while (!(await this.#hasEnded(containerId))) await sleep(POLL_MS);
      const log = readFileSync(join(pod.logs, "container.log"), "utf8");
      return log.replace(/^\S+ stdout [FP] (.*\n)/gm, "$1");
    } finally {
      await this.#call("StopPodSandbox", text(1, id));
      await this.#call("RemovePodSandbox", text(1, id));
      rmSync(pod.logs, { recursive: true, force: true });
    }
  }

  /** ContainerStatusResponse: 1 status { 3 state }; 2 is CONTAINER_EXITED. */
  async #hasEnded(containerId: string): Promise<boolean> {
    const answer = ProtobufMessage.read(await this.#call("ContainerStatus", text(1, containerId)));
    return answer?.message(1)?.number(3) === 2;
  }

  #call(method: string, request: Buffer): Promise<Buffer<ArrayBuffer>> {
    return new Promise((resolve, reject) => {
      const identity = (bytes: Buffer) => bytes;
      this.#client.makeUnaryRequest(
        `${RUNTIME_SERVICE}/${method}`,
        identity,
        (bytes: Buffer) => Buffer.from(bytes),
        request,
        (error, answer) => (error ? reject(error) : resolve(answer ?? Buffer.alloc(0))),
      );
    });
  }
}

function sandboxConfig({ namespace, name, uid, annotations = {}, logs }: CriPod): Buffer {
  const namespaces = message(number(1, NODE_MODE), number(2, NODE_MODE), number(3, NODE_MODE));
  return message(
    field(1, message(text(1, name), text(2, uid), text(3, namespace))),
    text(3, logs),
    ...entries(7, annotations),
    field(8, field(2, field(1, namespaces))),
  );
}

function containerConfig({ image, args, annotations = {}, volumes = {} }: CriContainer): Buffer {
  const namespaces = message(number(1, NODE_MODE), number(2, NODE_MODE), number(3, NODE_MODE));
  return message(
    field(1, text(1, "container")),
    field(2, text(1, image)),
    ...(args ?? []).map((it) => text(3, it)),
    ...Object.entries(volumes).map(([path, reference]) =>
      field(7, message(text(1, path), number(3, 1), field(9, text(1, reference)))),
    ),
    ...entries(10, annotations),
    text(11, "container.log"),
    field(15, field(2, field(3, namespaces))),
  );
}

function entries(at: number, map: Readonly<Record<string, string>>): Buffer[] {
  return Object.entries(map).map(([key, value]) => field(at, message(text(1, key), text(2, value))));
}

function message(...fields: readonly Buffer[]): Buffer {
  return Buffer.concat(fields);
}

function text(at: number, value: string): Buffer {
  return field(at, Buffer.from(value));
}

function number(at: number, value: number): Buffer {
  return Buffer.concat([varint(at << 3), varint(value)]);
}

/** The ID in an answer's first field. */
function textOf(bytes: Buffer<ArrayBuffer>): string {
  return ProtobufMessage.read(bytes)?.text(1) ?? "";
}

export function isCancelled(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === status.CANCELLED;
}
