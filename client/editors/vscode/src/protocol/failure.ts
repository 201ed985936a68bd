/**
 * What went wrong, in the form in which people are told: the thing, the causes from near to far, the way out.
 */

import type { WireError } from "./messages";

/** Codes of our own; all others are the daemon's. */
export type LocalCode =
  | "not_running"
  | "not_started"
  | "version_skew"
  | "unsafe_place"
  | "no_home"
  | "connection_lost"
  | "given_up"
  | "timed_out"
  | "unexpected"
  | "unreachable"
  | "not_trusted"
  | "no_program"
  | "bad_task"
  | "bad_answer";

/** A failure. `message` never holds a secret or the bytes of a peer that made no sense. */
export class Failure extends Error {
  override readonly name = "Failure";

  constructor(
    readonly code: string,
    message: string,
    readonly causes: readonly string[] = [],
    readonly hint: string | null = null,
  ) {
    super(message);
  }

  /** One of our own. */
  static local(code: LocalCode, message: string, causes: readonly string[] = [], hint: string | null = null): Failure {
    return new Failure(code, message, causes, hint);
  }

  /** One that the daemon sent. */
  static sent(error: WireError): Failure {
    return new Failure(error.code, error.message, error.causes, error.hint);
  }

  /** Anything that was thrown. */
  static of(error: unknown): Failure {
    if (error instanceof Failure) {
      return error;
    }
    return Failure.local("unexpected", error instanceof Error ? error.message : String(error));
  }

  /** Message and causes in one line. */
  get line(): string {
    return [this.message, ...this.causes].join(": ");
  }
}
