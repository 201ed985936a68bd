/** The audit log, followed in an output channel, which shows letters only. */

import * as vscode from "vscode";

import { readable } from "../logic/audit";
import { Failure } from "../protocol/failure";
import type { Connection as Socket } from "../protocol/connection";
import type { Model } from "./model";

/** Lines shown at first, and asked for after the daemon was away. */
const LINES = 200;

export class Log implements vscode.Disposable {
  private readonly channel = vscode.window.createOutputChannel("authsome audit log");
  private readonly listening: vscode.Disposable;
  private followed: Socket | undefined;
  private wanted = false;
  /** The last lines that were shown, as they stand in the log: none is shown twice after a new connection. */
  private recent: string[] = [];

  constructor(private readonly model: Model) {
    this.listening = model.onConnected((socket) => {
      if (this.wanted) {
        this.follow(socket);
      }
    });
  }

  /** Shows the log, and follows it from then on. */
  async show(): Promise<void> {
    this.channel.show(true);
    this.wanted = true;
    this.follow(await this.model.need());
  }

  /** The lines are another home's. */
  reset(): void {
    this.recent = [];
    this.channel.clear();
  }

  dispose(): void {
    this.listening.dispose();
    this.channel.dispose();
  }

  private follow(socket: Socket): void {
    if (this.followed === socket) {
      return;
    }
    this.followed = socket;
    const before = new Set(this.recent);
    socket
      .request({ log_follow: { lines: LINES, provider: null, run: null } }, "done", {
        events: (event) => {
          if (event.name === "missed") {
            this.channel.appendLine(`(${event.value.count} records came too fast and are not shown)`);
          } else if (event.name === "audit" && !before.has(event.value.line)) {
            this.recent = [...this.recent.slice(1 - LINES), event.value.line];
            this.channel.appendLine(readable(event.value.line));
          }
        },
      })
      .catch((error: unknown) => {
        const failure = Failure.of(error);
        if (this.followed === socket) {
          this.followed = undefined;
        }
        this.channel.appendLine(
          failure.code === "connection_lost" ? "(the daemon has gone; waiting for it)" : `(${failure.line})`,
        );
      });
  }
}
