/**
 * The link to the daemon: a connection that comes back.
 *
 * * {@link Link.watch} keeps connected as long as somebody listens, and tries again with a growing pause when
 *   nobody does. It starts nothing.
 * * {@link Link.need} is for what a person asked for: it starts the daemon where there is none.
 *
 * Whoever follows something hears of a new connection by {@link LinkOptions.onState} and asks again on it.
 */

import { type Connection, connect } from "./connection";
import { Failure } from "./failure";
import { type Environment, type Places, ownUser, placesOf } from "./places";
import { startDaemon } from "./start";

/** Pause before the first new try, in milliseconds: a daemon that is restarted is back in less than a second. */
const PAUSE_MIN = 100;

/** Longest pause between two tries. Longer, and an editor would seem dead after `authsome daemon start`. */
const PAUSE_MAX = 5_000;

/** How long connecting goes on after a daemon was started: daemons may start and stop around us. */
const RACE_MS = 15_000;

export type LinkState =
  | { readonly kind: "connecting" }
  | { readonly kind: "connected"; readonly connection: Connection }
  /** Nobody listens, or nobody we may talk to. */
  | { readonly kind: "absent"; readonly why: Failure };

export interface LinkOptions {
  /** What the daemon is found by and started with; asked each time, for it may change. */
  readonly environment: () => Environment;
  /** The daemon's program. Fails where nothing may be started, with the reason. */
  readonly program: () => string;
  /** Our name and version, for messages. */
  readonly build: string;
  readonly onState: (state: LinkState) => void;
}

export class Link {
  private current: LinkState = { kind: "connecting" };
  private pause = PAUSE_MIN;
  private timer: NodeJS.Timeout | undefined;
  private attempt: Promise<Connection> | undefined;
  private starting: Promise<Connection> | undefined;
  private watching = false;
  /** Counts what makes older attempts void: a new place, the end. */
  private generation = 0;

  constructor(private readonly options: LinkOptions) {}

  get state(): LinkState {
    return this.current;
  }

  /** Connects, now and whenever somebody listens. */
  watch(): void {
    this.watching = true;
    void this.connectOnce().catch(() => undefined);
  }

  /** Connects anew: the settings say another home. */
  reset(): void {
    const before = this.current;
    this.generation += 1;
    this.attempt = undefined;
    this.starting = undefined;
    this.pause = PAUSE_MIN;
    this.set({ kind: "connecting" });
    if (before.kind === "connected") {
      before.connection.end();
    }
    if (this.watching) {
      this.watch();
    }
  }

  /** Ends everything. */
  dispose(): void {
    this.watching = false;
    clearTimeout(this.timer);
    this.generation += 1;
    if (this.current.kind === "connected") {
      this.current.connection.end();
    }
  }

  /** A connection; starts the daemon where none listens. */
  async need(): Promise<Connection> {
    try {
      return await this.connectOnce();
    } catch (error) {
      if (Failure.of(error).code !== "not_running") {
        throw error;
      }
    }
    this.starting ??= this.start().finally(() => {
      this.starting = undefined;
    });
    return this.starting;
  }

  private async start(): Promise<Connection> {
    const environment = this.options.environment();
    const deadline = Date.now() + RACE_MS;
    for (;;) {
      await startDaemon(this.options.program(), environment);
      let why: unknown;
      // it said that it listens, or another one is about to
      for (let pause = 5; pause < 1_000; pause *= 2) {
        try {
          return await this.connectOnce();
        } catch (error) {
          if (Failure.of(error).code !== "not_running") {
            throw error;
          }
          why = error;
        }
        await new Promise((resolve) => setTimeout(resolve, pause));
      }
      if (Date.now() >= deadline) {
        throw why;
      }
    }
  }

  /** The connection there is, or one new try. All that ask at the same time share it. */
  private connectOnce(): Promise<Connection> {
    if (this.current.kind === "connected" && !this.current.connection.isClosed) {
      return Promise.resolve(this.current.connection);
    }
    clearTimeout(this.timer);
    const generation = this.generation;
    this.attempt ??= this.open()
      .then(
        (connection) => {
          if (generation !== this.generation) {
            connection.end();
            throw Failure.local("connection_lost", "the settings changed while connecting");
          }
          this.pause = PAUSE_MIN;
          this.set({ kind: "connected", connection });
          void connection.closed.then((why) => this.onClosed(connection, why));
          return connection;
        },
        (error: unknown) => {
          if (generation === this.generation) {
            this.set({ kind: "absent", why: Failure.of(error) });
            this.later();
          }
          throw error;
        },
      )
      .finally(() => {
        if (generation === this.generation) {
          this.attempt = undefined;
        }
      });
    return this.attempt;
  }

  private async open(): Promise<Connection> {
    const uid = ownUser();
    const places: Places = placesOf(this.options.environment(), uid);
    return connect(places, uid, this.options.build);
  }

  private onClosed(connection: Connection, why: Failure): void {
    if (this.current.kind === "connected" && this.current.connection === connection) {
      this.set({ kind: "absent", why });
      this.later();
    }
  }

  private later(): void {
    if (!this.watching) {
      return;
    }
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.watch(), this.pause);
    this.timer.unref();
    this.pause = Math.min(this.pause * 2, PAUSE_MAX);
  }

  private set(state: LinkState): void {
    this.current = state;
    this.options.onState(state);
  }
}
