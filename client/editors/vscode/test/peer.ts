/** Daemons that a test plays itself, on sockets of their own. */

import * as assert from "node:assert/strict";
import * as fs from "node:fs";
import * as net from "node:net";
import * as os from "node:os";
import * as path from "node:path";

import { type Connection, connect } from "../src/protocol/connection";
import { Failure } from "../src/protocol/failure";
import { FRAME_MAX, FrameReader, HELLO_MAX, frame } from "../src/protocol/frame";
import { type Places, socketOf } from "../src/protocol/places";

export const UID = process.geteuid?.() ?? 0;

/** What a client sends. */
export type Message = { request?: { id: number; request: unknown }; cancel?: { id: number } };

interface Context {
  after(act: () => void): void;
}

/** A folder that goes with the test. */
export function scratch(t: Context): string {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "as-p-"));
  t.after(() => fs.rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export async function places(t: Context): Promise<Places> {
  const root = scratch(t);
  fs.mkdirSync(path.join(root, "run"), { mode: 0o700 });
  return { home: root, lock: path.join(root, "daemon.lock"), socket: path.join(root, "run/control.sock") };
}

export async function listen(
  t: Context,
  at: string,
  act: (socket: net.Socket) => void,
): Promise<net.Server> {
  const server = net.createServer((socket) => {
    socket.on("error", () => undefined);
    act(socket);
  });
  await new Promise<void>((resolve) => server.listen(at, resolve));
  t.after(() => server.close());
  return server;
}

export function hello(lowest: number, highest: number, encoding: number, build: string): Buffer {
  const head = Buffer.alloc(14);
  head.write("AUTHSOME");
  head.writeUInt16BE(lowest, 8);
  head.writeUInt16BE(highest, 10);
  head.writeUInt8(encoding, 12);
  head.writeUInt8(build.length, 13);
  return frame(Buffer.concat([head, Buffer.from(build)]), HELLO_MAX);
}

export async function greeter(t: Context, reply: Buffer): Promise<Places> {
  const at = await places(t);
  await listen(t, at.socket, (socket) => socket.once("data", () => socket.end(reply)));
  assert.equal(socketOf(at, UID), at.socket);
  return at;
}

/** A connection to a daemon of the test's. */
export async function peer(
  t: Context,
  act: (send: (message: unknown) => void, message: Message, socket: net.Socket) => void,
): Promise<Connection> {
  const at = await places(t);
  await listen(t, at.socket, (socket) => {
    const reader = new FrameReader();
    let greeted = false;
    socket.on("data", (chunk: Buffer) => {
      reader.push(chunk);
      for (let next = reader.next(); next !== undefined; next = reader.next()) {
        if (greeted) {
          const send = (message: unknown) => socket.write(frame(Buffer.from(JSON.stringify(message)), FRAME_MAX));
          act(send, JSON.parse(next.toString()) as Message, socket);
        } else {
          greeted = true;
          socket.write(hello(1, 1, 2, "9.9"));
        }
      }
    });
  });
  const connection = await connect(at, UID, "test");
  t.after(() => connection.end());
  return connection;
}

export async function failureOf(promise: Promise<unknown>): Promise<Failure> {
  try {
    await promise;
  } catch (error) {
    assert.ok(error instanceof Failure, String(error));
    return error;
  }
  throw new Error("it did not fail");
}
