/**
 * One greeted connection to the daemon.
 *
 * 1. The socket's place is checked before anything is sent ({@link checkSocket}).
 * 2. Both ends greet. Ends that share no version say so, with the command that mends it.
 * 3. Requests are numbered, each number once; answers come in any order. Events of a request come before its
 *    answer. A request over the daemon's limit waits here until another was answered.
 * 4. When the connection ends, by whomever, everything in flight fails and {@link Connection.closed} is told.
 *
 * Not here: starting a daemon and connecting again (`link.ts`).
 */

import * as net from "node:net";

import { Failure } from "./failure";
import { FRAME_MAX, FrameReader, HELLO_MAX, frame } from "./frame";
import { Encoding, HIGHEST, type Hello, LOWEST, agree, decodeHello, encodeHello } from "./hello";
import {
  type Answers,
  type Event,
  type FromDaemon,
  type Request,
  decode,
  encodeCancel,
  encodeRequest,
  isWireError,
} from "./messages";
import { type Places, checkSocket, socketOf } from "./places";

/** How long connecting and greeting may take, in milliseconds; the daemon itself waits as long for us. */
export const GREETING_MS = 5_000;

/** How long an answer may take. The longest honest one waits for a person to unlock the keyring. */
export const ANSWER_MS = 150_000;

/** Requests in flight at once; the daemon answers more with an error. */
const IN_FLIGHT_MAX = 64;

/** Ids on one connection; the daemon hangs up after as many. */
const IDS_MAX = 65_536;

/** From this many ids on, an idle connection is given back to be replaced. */
const IDS_WORN = 60_000;

/** What nobody listening looks like. */
const NOBODY: ReadonlySet<string> = new Set(["ENOENT", "ECONNREFUSED", "EPIPE", "ECONNRESET"]);

export interface Options {
  /** Where the events of this request go. A request with events has no deadline. */
  readonly events?: (event: Event) => void;
  /** Gives the request up. It is still answered. */
  readonly signal?: AbortSignal;
  /** Milliseconds until the answer is no longer waited for; {@link ANSWER_MS} unless said. */
  readonly deadline?: number;
}

interface InFlight {
  readonly events: ((event: Event) => void) | undefined;
  settle(outcome: FromDaemon | Failure): void;
}

/** Connects and greets. Fails with `not_running` where nobody listens. */
export async function connect(places: Places, uid: number, build: string): Promise<Connection> {
  const path = socketOf(places, uid);
  if (!checkSocket(path, uid)) {
    throw notRunning(path, "no such socket");
  }
  const socket = net.connect({ path });
  const reader = new FrameReader();
  try {
    return new Connection(socket, reader, await greet(socket, reader, path, build));
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

/** A connection after the greeting. */
export class Connection {
  /** Resolves when the connection has ended, with the reason. */
  readonly closed: Promise<Failure>;

  private readonly inFlight = new Map<number, InFlight>();
  private readonly waiting: (() => void)[] = [];
  private nextId = 1;
  private ended: Failure | undefined;
  private close!: (why: Failure) => void;

  constructor(
    private readonly socket: net.Socket,
    private readonly reader: FrameReader,
    /** The daemon's opening. */
    readonly daemon: Hello,
  ) {
    this.closed = new Promise((resolve) => {
      this.close = resolve;
    });
    socket.on("data", (chunk: Buffer) => {
      this.reader.push(chunk);
      this.read();
    });
    socket.on("error", (error) => this.end(lost(error.message)));
    socket.on("close", () => this.end(lost()));
    // the daemon's half is enough of an end: nothing is answered after it
    socket.on("end", () => this.end(lost()));
    // what came together with the greeting
    this.read();
  }

  /** Whether it has ended. */
  get isClosed(): boolean {
    return this.ended !== undefined;
  }

  /**
   * Sends a request and gives the answer if it is of the kind `name`, or one of them. Fails with the daemon's
   * error, with `connection_lost`, with `timed_out`, or with `unexpected` for an answer of another kind.
   */
  async request<Name extends keyof Answers>(
    request: Request,
    names: Name | readonly Name[],
    options: Options = {},
  ): Promise<{ [N in Name]: { readonly name: N; readonly value: Answers[N] } }[Name]> {
    while (this.ended === undefined && this.inFlight.size >= IN_FLIGHT_MAX) {
      await new Promise<void>((resolve) => this.waiting.push(resolve));
    }
    const answer = await this.exchange(request, options);
    const wanted: readonly string[] = typeof names === "string" ? [names] : names;
    if (!wanted.includes(answer.name)) {
      throw Failure.local(
        "unexpected",
        "the daemon answered something else than was asked",
        [],
        "extension and daemon may be of different builds; `authsome daemon restart`",
      );
    }
    return answer as never;
  }

  /** Hangs up. */
  end(why: Failure = lost()): void {
    if (this.ended !== undefined) {
      return;
    }
    this.ended = why;
    this.socket.destroy();
    for (const { settle } of [...this.inFlight.values()]) {
      settle(why);
    }
    for (const wake of this.waiting.splice(0)) {
      wake();
    }
    this.close(why);
  }

  private exchange(request: Request, options: Options): Promise<{ name: string; value: unknown }> {
    return new Promise((resolve, reject) => {
      if (this.ended !== undefined) {
        reject(this.ended);
        return;
      }
      if (options.signal?.aborted === true) {
        reject(Failure.local("timed_out", "it was given up before it was sent"));
        return;
      }
      const id = this.nextId;
      if (id >= IDS_MAX) {
        this.end();
        reject(lost());
        return;
      }
      this.nextId += 1;
      const cancel = (): void => {
        this.write(encodeCancel(id));
      };
      const deadline =
        options.events === undefined
          ? setTimeout(() => {
              this.inFlight.delete(id);
              finish();
              reject(
                Failure.local(
                  "timed_out",
                  "the daemon did not answer in time",
                  [],
                  "`authsome daemon restart` replaces a daemon that hangs",
                ),
              );
            }, options.deadline ?? ANSWER_MS)
          : undefined;
      const finish = (): void => {
        clearTimeout(deadline);
        options.signal?.removeEventListener("abort", cancel);
        this.waiting.shift()?.();
      };
      options.signal?.addEventListener("abort", cancel, { once: true });
      this.inFlight.set(id, {
        events: options.events,
        settle: (outcome) => {
          this.inFlight.delete(id);
          finish();
          if (outcome instanceof Failure) {
            reject(outcome);
          } else if (outcome.kind === "answer") {
            if (isWireError(outcome.result)) {
              reject(Failure.sent(outcome.result));
            } else {
              resolve(outcome.result);
            }
          }
        },
      });
      this.write(encodeRequest(id, request));
    });
  }

  private write(payload: Buffer): void {
    if (this.ended === undefined) {
      this.socket.write(frame(payload, FRAME_MAX));
    }
  }

  private read(): void {
    try {
      for (let payload = this.reader.next(); payload !== undefined; payload = this.reader.next()) {
        const message = decode(payload);
        if (message === undefined) {
          // what it was is not said: it may hold anything
          this.end(lost("a frame of the daemon's makes no sense"));
          return;
        }
        this.take(message);
      }
    } catch (error) {
      this.end(lost(Failure.of(error).message));
    }
  }

  private take(message: FromDaemon): void {
    if (message.kind === "unknown") {
      return;
    }
    const inFlight = this.inFlight.get(message.id);
    if (message.kind === "answer") {
      inFlight?.settle(message);
      if (this.nextId > IDS_WORN && [...this.inFlight.values()].every((other) => other.events !== undefined)) {
        this.end();
      }
    } else {
      inFlight?.events?.(message.event);
    }
  }
}

/** Sends our opening and reads the daemon's. */
function greet(socket: net.Socket, reader: FrameReader, path: string, build: string): Promise<Hello> {
  return new Promise((resolve, reject) => {
    const done = (outcome: Hello | Failure): void => {
      clearTimeout(deadline);
      socket.removeAllListeners();
      if (outcome instanceof Failure) {
        // an error after this one has nobody to be told to
        socket.on("error", () => undefined);
        reject(outcome);
      } else {
        resolve(outcome);
      }
    };
    const deadline = setTimeout(() => {
      done(
        cannot(
          path,
          `it did not greet within ${GREETING_MS / 1000} s`,
          "`authsome daemon restart` replaces a daemon that hangs",
        ),
      );
    }, GREETING_MS);
    socket.on("connect", () => socket.write(frame(encodeHello(build), HELLO_MAX)));
    socket.on("error", (error: NodeJS.ErrnoException) => {
      const nobody = error.code !== undefined && NOBODY.has(error.code);
      done(nobody ? notRunning(path, inWords(error)) : cannot(path, inWords(error), null));
    });
    // it stopped between accepting us and greeting
    socket.on("close", () => done(notRunning(path, "it hung up")));
    socket.on("data", (chunk: Buffer) => {
      let payload: Buffer | undefined;
      try {
        reader.push(chunk);
        payload = reader.next();
      } catch {
        done(cannot(path, "what came is no greeting", "something else listens on that socket"));
        return;
      }
      if (payload !== undefined) {
        done(judge(payload, path));
      }
    });
  });
}

function judge(payload: Buffer, path: string): Hello | Failure {
  const theirs = decodeHello(payload);
  if (theirs === undefined) {
    return cannot(path, "what came is no greeting", "something else listens on that socket");
  }
  if (agree(theirs) === undefined) {
    return skew(theirs);
  }
  if (theirs.encoding !== Encoding.json) {
    return Failure.local(
      "version_skew",
      "the daemon does not speak JSON to this extension",
      [],
      "`authsome daemon restart` replaces an older daemon",
    );
  }
  return theirs;
}

/** Says which side is too old, and the command that mends it. */
export function skew(theirs: Hello): Failure {
  const range = (lowest: number, highest: number): string =>
    lowest === highest ? `${lowest}` : `${lowest} to ${highest}`;
  const message =
    `this extension speaks protocol ${range(LOWEST, HIGHEST)}; ` +
    `the daemon speaks ${range(theirs.lowest, theirs.highest)}`;
  if (theirs.highest < LOWEST) {
    return Failure.local(
      "version_skew",
      message,
      [],
      "an older daemon is still running; `authsome daemon restart` replaces it",
    );
  }
  // only a build that can be part of a file's name is put into a command
  const build = /^[0-9A-Za-z.+-]{1,32}$/.test(theirs.build) ? theirs.build : "VERSION";
  return Failure.local(
    "version_skew",
    message,
    [],
    `a newer daemon is running (build ${build}); \`code --install-extension authsome-${build}.vsix\` updates this extension`,
  );
}

function notRunning(path: string, cause: string): Failure {
  return Failure.local(
    "not_running",
    `nobody listens at \`${path}\``,
    [cause],
    "`authsome daemon start` starts the daemon",
  );
}

function cannot(path: string, cause: string, hint: string | null): Failure {
  return Failure.local("unreachable", `cannot reach the daemon at \`${path}\``, [cause], hint);
}

function lost(cause?: string): Failure {
  return Failure.local(
    "connection_lost",
    "the connection to the daemon was lost",
    cause === undefined ? [] : [cause],
    "`authsome daemon logs` may say why",
  );
}

/** The system's errors of connecting, without code and path. */
function inWords(error: NodeJS.ErrnoException): string {
  switch (error.code) {
    case "ENOENT":
      return "no such socket";
    case "ECONNREFUSED":
      return "connection refused";
    case "EACCES":
      return "permission denied";
    default:
      return error.message;
  }
}
