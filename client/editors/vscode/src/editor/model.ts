/**
 * What the editor knows of the daemon: whether it is there, its connections, its state. Kept by its events, and looked
 * at again every minute, for time passes without events.
 */

import * as vscode from "vscode";

import type { Connection as Socket } from "../protocol/connection";
import { Failure } from "../protocol/failure";
import { Link, type LinkState } from "../protocol/link";
import type { Answers, Connection, Request, Status } from "../protocol/messages";
import * as settings from "./settings";

/** How often connections are looked at without an event, in milliseconds: what is shown is in minutes. */
const LOOK_MS = 60_000;

/** How long events are collected before connections are asked for again, in milliseconds. */
const COLLECT_MS = 50;

export class Model implements vscode.Disposable {
  connections: readonly Connection[] = [];
  status: Status | undefined;

  private readonly changed = new vscode.EventEmitter<void>();
  private readonly connected = new vscode.EventEmitter<Socket>();
  private readonly link: Link;
  private readonly timer: NodeJS.Timeout;
  private collecting: NodeJS.Timeout | undefined;

  /** Something that is shown may look different now. */
  readonly onChange = this.changed.event;
  /** There is a new connection to a daemon. */
  readonly onConnected = this.connected.event;

  constructor(version: string) {
    this.link = new Link({
      environment: settings.environment,
      program: settings.daemon,
      build: `vscode-${version}`,
      onState: (state) => this.onState(state),
    });
    this.timer = setInterval(() => this.later(), LOOK_MS);
    this.timer.unref();
  }

  get state(): LinkState {
    return this.link.state;
  }

  /** Begins to watch for a daemon. Starts none. */
  watch(): void {
    this.link.watch();
  }

  /** A connection to the daemon, which is started where there is none. */
  async need(): Promise<Socket> {
    return this.link.need();
  }

  /** Sends a request, to a daemon that is started for it; asks for the passphrase where the store wants one. */
  async request<Name extends keyof Answers>(request: Request, name: Name): Promise<Answers[Name]> {
    const socket = await this.need();
    return (await unlocked(socket, () => socket.request(request, name))).value;
  }

  /** Asks for everything again. */
  async refresh(): Promise<void> {
    const { state } = this.link;
    if (state.kind !== "connected") {
      return;
    }
    const [connections, status] = await Promise.all([
      state.connection.request("connections", "connections"),
      state.connection.request("status", "status"),
    ]);
    this.connections = connections.value;
    this.status = status.value;
    this.changed.fire();
  }

  /** Another home or program was set. */
  reset(): void {
    this.link.reset();
  }

  dispose(): void {
    clearInterval(this.timer);
    clearTimeout(this.collecting);
    this.link.dispose();
    this.changed.dispose();
    this.connected.dispose();
  }

  private onState(state: LinkState): void {
    if (state.kind === "connected") {
      const { connection } = state;
      // audit lines come along: `log_follow` is for those, here they are passed over
      connection
        .request("subscribe", "done", { events: (event) => event.name === "audit" || this.later() })
        .catch(() => undefined);
      this.refresh().catch(() => undefined);
      this.connected.fire(connection);
    } else {
      this.connections = [];
      this.status = undefined;
    }
    this.changed.fire();
  }

  private later(): void {
    this.collecting ??= setTimeout(() => {
      this.collecting = undefined;
      this.refresh().catch(() => undefined);
    }, COLLECT_MS);
  }
}

/** Does what may need the store to be open; asks for its passphrase once where it is locked. */
export async function unlocked<T>(socket: Socket, what: () => Promise<T>): Promise<T> {
  try {
    return await what();
  } catch (error) {
    const { code } = Failure.of(error);
    if (code !== "passphrase_needed" && code !== "passphrase_wanted") {
      throw error;
    }
    if (!(await unlock(socket, code === "passphrase_wanted"))) {
      throw error;
    }
    return what();
  }
}

/** Asks for the passphrase until it is taken; false when the person gave up. */
export async function unlock(socket: Socket, choose: boolean): Promise<boolean> {
  for (let again = ""; ; ) {
    const title = choose ? "Choose a Passphrase for the Vault" : "Passphrase of the Vault";
    const passphrase = await secret(title, again);
    if (passphrase === undefined) {
      return false;
    }
    if (choose && (await secret("The Same Passphrase Again", "")) !== passphrase) {
      again = "they were not the same";
      continue;
    }
    try {
      await socket.request({ unlock: { passphrase } }, "done");
      return true;
    } catch (error) {
      const failure = Failure.of(error);
      if (failure.code !== "wrong_passphrase") {
        throw failure;
      }
      again = "it is wrong";
    }
  }
}

function secret(title: string, prompt: string): Thenable<string | undefined> {
  return vscode.window.showInputBox({ title, prompt, password: true, ignoreFocusOut: true });
}
