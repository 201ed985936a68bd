/** Command lines of `authsome run`. Pure; nothing here passes through a shell. */

import { Failure } from "../protocol/failure";

/** Names as the daemon takes them. Neither begins with `-`, so that none can be read as an option. */
const PROVIDER = /^[a-z0-9][a-z0-9._-]{0,63}$/;
const CONNECTION = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

export interface RunOptions {
  /** `PROVIDER=NAME`, one or several. */
  readonly connection?: string | readonly string[];
  /** Providers that are granted; all without it. */
  readonly only?: string | readonly string[];
  readonly unmatched?: string;
}

/** What a task of ours says in `tasks.json`. */
export interface TaskOptions extends RunOptions {
  readonly command?: string;
  readonly args?: readonly string[];
}

/** Whether `text` can be a connection's name. */
export function isConnectionName(text: string): boolean {
  return CONNECTION.test(text);
}

/** The words after `authsome`, up to and with `--`. Fails on anything that is not what it should be. */
export function runWords(options: RunOptions): string[] {
  const words = ["run"];
  for (const text of list(options.connection, "connection")) {
    const [provider, name, ...more] = text.split("=");
    if (provider === undefined || name === undefined || more.length > 0) {
      throw bad(`\`connection\` is PROVIDER=NAME, not \`${text}\``);
    }
    if (!PROVIDER.test(provider) || !CONNECTION.test(name)) {
      throw bad(`\`${text}\` names no connection`);
    }
    words.push("--connection", text);
  }
  const only = list(options.only, "only");
  for (const provider of only) {
    if (!PROVIDER.test(provider)) {
      throw bad(`\`${provider}\` names no provider`);
    }
  }
  if (only.length > 0) {
    words.push("--only", only.join(","));
  }
  const { unmatched } = options;
  if (unmatched !== undefined) {
    if (unmatched !== "tunnel" && unmatched !== "deny") {
      throw bad(`\`unmatched\` is \`tunnel\` or \`deny\`, not \`${String(unmatched)}\``);
    }
    words.push("--unmatched", unmatched);
  }
  words.push("--");
  return words;
}

/** The words after `authsome` of a task: a program with its arguments, or else a line for `/bin/sh`. */
export function taskWords(task: TaskOptions): string[] {
  const { command, args } = task;
  if (typeof command !== "string" || command === "") {
    throw bad("a task of the type `authsome` needs a `command`");
  }
  if (args === undefined) {
    return [...runWords(task), "/bin/sh", "-c", command];
  }
  if (!Array.isArray(args) || !args.every((word) => typeof word === "string")) {
    throw bad("`args` is a list of texts");
  }
  return [...runWords(task), command, ...args];
}

/** A command line to be pasted before a command: names need no quoting. */
export function runLine(provider: string, connection: string, isDefault: boolean): string {
  const words = runWords(isDefault ? {} : { connection: `${provider}=${connection}` });
  return `authsome ${words.join(" ")} `;
}

function list(value: unknown, name: string): readonly string[] {
  const values: unknown[] = value === undefined ? [] : Array.isArray(value) ? value : [value];
  return values.map((item) => {
    if (typeof item !== "string") {
      throw bad(`\`${name}\` is a text or a list of texts`);
    }
    return item;
  });
}

function bad(message: string): Failure {
  return Failure.local("bad_task", message);
}
