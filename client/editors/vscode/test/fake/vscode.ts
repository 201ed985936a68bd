/**
 * As much of an editor as the extension uses. What it shows is kept, what it asks is answered by the test, and what it
 * runs is really run.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { EventEmitter as NodeEmitter } from "node:events";

export type Ask = (about: never) => unknown;

/** The hands and eyes of a test. */
export const editor = {
  /** What the person set. */
  settings: {} as Record<string, unknown>,
  /** What the workspace set. */
  workspaceSettings: {} as Record<string, unknown>,
  trusted: true,
  /** All that was shown, in order: `kind: text`. */
  shown: [] as string[],
  opened: [] as string[],
  clipboard: "",
  progress: [] as string[],
  contexts: {} as Record<string, unknown>,
  contextsSet: 0,
  commands: new Map<string, (...words: unknown[]) => unknown>(),
  terminals: [] as FakeTerminal[],
  terminalProfiles: new Map<string, { provideTerminalProfile(): { options: TerminalOptions } }>(),
  taskProviders: new Map<string, { resolveTask(task: Task): Task | undefined }>(),
  views: new Map<string, { getChildren(): unknown[]; getTreeItem(node: unknown): TreeItem }>(),
  bars: [] as FakeBar[],
  channels: new Map<string, string[]>(),
  boxes: [] as FakeBox[],
  documents: [] as string[],
  /** The next answers to what is asked, by kind. */
  answers: [] as { kind: string; ask: Ask }[],
  configured: new NodeEmitter(),
  cancelled: undefined as CancellationTokenSource | undefined,
  onOpen: (_url: string): boolean => true,

  /** Answers the next question of that kind. */
  will(kind: "quickPick" | "input" | "message" | "file", ask: Ask): void {
    this.answers.push({ kind, ask });
  },

  /** Picks the line whose label or description holds `text`. */
  willPick(text: string): void {
    this.will("quickPick", (items: readonly { label: string; description?: string }[]) => {
      const found = items.find((one) => one.label.includes(text) || (one.description ?? "").split(" · ").includes(text));
      if (found === undefined) {
        throw new Error(`no line has ${text}: ${items.map((one) => one.label).join(", ")}`);
      }
      return found;
    });
  },

  /** Whether anything that was shown holds `text`. */
  said(text: string): boolean {
    return this.shown.some((line) => line.includes(text));
  },
};

function ask(kind: string, about: unknown): unknown {
  const index = editor.answers.findIndex((one) => one.kind === kind);
  const [found] = index < 0 ? [] : editor.answers.splice(index, 1);
  return found?.ask(about as never);
}

export class Disposable {
  constructor(private readonly act: () => unknown) {}
  static from(...all: { dispose(): unknown }[]): Disposable {
    return new Disposable(() => all.forEach((one) => one.dispose()));
  }
  dispose(): void {
    this.act();
  }
}

export class EventEmitter<T> {
  private readonly emitter = new NodeEmitter().setMaxListeners(50);
  readonly event = (listener: (value: T) => unknown): Disposable => {
    this.emitter.on("event", listener);
    return new Disposable(() => this.emitter.off("event", listener));
  };
  fire(value: T): void {
    this.emitter.emit("event", value);
  }
  dispose(): void {
    this.emitter.removeAllListeners();
  }
}

export class CancellationTokenSource {
  private readonly emitter = new EventEmitter<void>();
  readonly token = { isCancellationRequested: false, onCancellationRequested: this.emitter.event };
  cancel(): void {
    this.token.isCancellationRequested = true;
    this.emitter.fire();
  }
  dispose(): void {
    this.emitter.dispose();
  }
}

export class ThemeColor {
  constructor(readonly id: string) {}
}
export class ThemeIcon {
  constructor(
    readonly id: string,
    readonly color?: ThemeColor,
  ) {}
}
export class TreeItem {
  id?: string;
  description?: string;
  tooltip?: string;
  iconPath?: ThemeIcon;
  contextValue?: string;
  constructor(readonly label: string) {}
}
export class TerminalProfile {
  constructor(readonly options: TerminalOptions) {}
}
export class ProcessExecution {
  constructor(
    readonly process: string,
    readonly args: string[],
    readonly options: { cwd?: string; env?: Record<string, string> },
  ) {}
}
export class Task {
  constructor(
    readonly definition: Record<string, unknown>,
    readonly scope: unknown,
    readonly name: string,
    readonly source: string,
    readonly execution?: ProcessExecution,
  ) {}
}
export const TaskScope = { Global: 1, Workspace: 2 };
export const StatusBarAlignment = { Left: 1, Right: 2 };
export const ProgressLocation = { Notification: 15 };

export class Uri {
  constructor(
    readonly scheme: string,
    readonly path: string,
    private readonly text: string,
  ) {}
  static parse(text: string): Uri {
    return new Uri(text.split(":", 1)[0] ?? "", "", text);
  }
  static from({ scheme, path }: { scheme: string; path: string }): Uri {
    return new Uri(scheme, path, `${scheme}:${path}`);
  }
  static file(path: string): Uri {
    return new Uri("file", path, `file://${path}`);
  }
  get fsPath(): string {
    return this.path;
  }
  toString(): string {
    return this.text;
  }
}

export interface TerminalOptions {
  name: string;
  shellPath: string;
  shellArgs: string[];
  env: Record<string, string | null>;
}

/** A terminal whose program really runs, with pipes in the place of a screen. */
export class FakeTerminal {
  readonly child: ChildProcess;
  output = "";
  readonly ended: Promise<number | null>;
  constructor(readonly options: TerminalOptions) {
    this.child = spawnIn(options.shellPath, options.shellArgs, options.env);
    const keep = (chunk: Buffer): void => {
      this.output += chunk.toString("utf8");
    };
    this.child.stdout?.on("data", keep);
    this.child.stderr?.on("data", keep);
    this.ended = new Promise((resolve) => this.child.on("close", resolve));
  }
  show(): void {
    editor.shown.push(`terminal: ${this.options.name}`);
  }
  type(line: string): void {
    this.child.stdin?.write(`${line}\n`);
  }
  async close(): Promise<void> {
    this.child.stdin?.end();
    await this.ended;
  }
}

/** Runs a program as an editor does: its own environment, with what it was told to set or to remove. */
export function spawnIn(program: string, words: readonly string[], env: Record<string, string | null>): ChildProcess {
  const whole: NodeJS.ProcessEnv = { ...process.env };
  for (const [name, value] of Object.entries(env)) {
    if (value === null) {
      delete whole[name];
    } else {
      whole[name] = value;
    }
  }
  return spawn(program, [...words], { env: whole, stdio: "pipe" });
}

export class FakeBar {
  text = "";
  tooltip = "";
  name = "";
  command = "";
  backgroundColor?: ThemeColor;
  show(): void {}
  dispose(): void {}
}

/** An input box that stays until it is disposed of. */
export class FakeBox {
  title = "";
  prompt = "";
  password = false;
  value = "";
  visible = false;
  disposed = false;
  private accept: () => unknown = () => undefined;
  onDidAccept(act: () => unknown): void {
    this.accept = act;
  }
  show(): void {
    this.visible = true;
  }
  dispose(): void {
    this.disposed = true;
  }
  enter(text: string): void {
    this.value = text;
    this.accept();
  }
}

function message(kind: string) {
  return async (text: string, ...rest: unknown[]): Promise<unknown> => {
    const options = rest.find((one): one is { detail?: string } => typeof one === "object" && one !== null);
    const actions = rest.filter((one): one is string => typeof one === "string");
    editor.shown.push(`${kind}: ${text}${options?.detail === undefined ? "" : `\n${options.detail}`}`);
    return actions.length === 0 ? undefined : ask("message", { text, detail: options?.detail, actions });
  };
}

export const window = {
  createStatusBarItem(): FakeBar {
    const bar = new FakeBar();
    editor.bars.push(bar);
    return bar;
  },
  createTreeView(id: string, { treeDataProvider }: { treeDataProvider: never }): Disposable {
    editor.views.set(id, treeDataProvider);
    return new Disposable(() => editor.views.delete(id));
  },
  createOutputChannel(name: string) {
    const lines: string[] = [];
    editor.channels.set(name, lines);
    return {
      appendLine: (line: string) => lines.push(line),
      clear: () => lines.splice(0),
      show: () => undefined,
      dispose: () => undefined,
    };
  },
  createTerminal(options: TerminalOptions): FakeTerminal {
    const terminal = new FakeTerminal(options);
    editor.terminals.push(terminal);
    return terminal;
  },
  createInputBox(): FakeBox {
    const box = new FakeBox();
    editor.boxes.push(box);
    return box;
  },
  registerTerminalProfileProvider(id: string, provider: never): Disposable {
    editor.terminalProfiles.set(id, provider);
    return new Disposable(() => undefined);
  },
  showInformationMessage: message("info"),
  showWarningMessage: message("warning"),
  showErrorMessage: message("error"),
  async showQuickPick(items: readonly { label: string }[], options?: { title?: string }): Promise<unknown> {
    editor.shown.push(`quick pick: ${options?.title ?? ""}\n${items.map((one) => JSON.stringify(one)).join("\n")}`);
    return ask("quickPick", items);
  },
  async showInputBox(options: { title?: string; prompt?: string; password?: boolean }): Promise<unknown> {
    editor.shown.push(`input${options.password === true ? " (hidden)" : ""}: ${options.title ?? ""}: ${options.prompt ?? ""}`);
    return ask("input", options);
  },
  async showOpenDialog(options: unknown): Promise<unknown> {
    return ask("file", options);
  },
  async showTextDocument(document: { text: string }): Promise<void> {
    editor.documents.push(document.text);
  },
  async withProgress(options: { title: string }, task: (progress: unknown, token: unknown) => Promise<unknown>) {
    editor.shown.push(`progress: ${options.title}`);
    editor.cancelled = new CancellationTokenSource();
    const report = ({ message }: { message: string }): void => {
      editor.progress.push(message);
    };
    return task({ report }, editor.cancelled.token);
  },
};

export const commands = {
  registerCommand(name: string, act: (...words: unknown[]) => unknown): Disposable {
    editor.commands.set(name, act);
    return new Disposable(() => editor.commands.delete(name));
  },
  async executeCommand(name: string, ...words: unknown[]): Promise<unknown> {
    if (name === "setContext") {
      editor.contexts[String(words[0])] = words[1];
      editor.contextsSet += 1;
      return undefined;
    }
    return editor.commands.get(name)?.(...words);
  },
};

export const tasks = {
  registerTaskProvider(type: string, provider: never): Disposable {
    editor.taskProviders.set(type, provider);
    return new Disposable(() => undefined);
  },
};

export const UIKind = { Desktop: 1, Web: 2 };

export const env = {
  remoteName: undefined as string | undefined,
  uiKind: UIKind.Desktop,
  async openExternal(target: Uri | string): Promise<boolean> {
    // as seen in a workbench: a text is opened as it is, a `Uri` with what it has decoded
    const url = typeof target === "string" ? target : decodeURIComponent(target.toString());
    editor.opened.push(url);
    return editor.onOpen(url);
  },
  clipboard: {
    async writeText(text: string): Promise<void> {
      editor.clipboard = text;
    },
  },
};

const providers = new Map<string, { provideTextDocumentContent(uri: Uri): string }>();

export const workspace = {
  get isTrusted(): boolean {
    return editor.trusted;
  },
  workspaceFolders: undefined as { uri: Uri }[] | undefined,
  getConfiguration(section: string) {
    const at = (from: Record<string, unknown>, name: string): unknown => from[`${section}.${name}`];
    return {
      // a host that knows no scopes: what the workspace set is in effect
      get: (name: string) => at(editor.workspaceSettings, name) ?? at(editor.settings, name),
      inspect: (name: string) => ({
        globalValue: at(editor.settings, name),
        workspaceValue: at(editor.workspaceSettings, name),
      }),
    };
  },
  onDidChangeConfiguration(listener: (event: unknown) => void): Disposable {
    editor.configured.on("change", listener);
    return new Disposable(() => editor.configured.off("change", listener));
  },
  onDidCloseTextDocument: () => new Disposable(() => undefined),
  registerTextDocumentContentProvider(scheme: string, provider: never): Disposable {
    providers.set(scheme, provider);
    return new Disposable(() => undefined);
  },
  async openTextDocument(uri: Uri): Promise<{ text: string }> {
    return { text: providers.get(uri.scheme)?.provideTextDocumentContent(uri) ?? "" };
  },
};
