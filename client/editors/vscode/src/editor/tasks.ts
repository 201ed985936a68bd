/** Tasks of the type `authsome`: a command under `authsome run --`. No shell reads their words. */

import * as vscode from "vscode";

import { type TaskOptions, taskWords } from "../logic/run";
import * as say from "./say";
import * as settings from "./settings";

const TYPE = "authsome";

interface Definition extends vscode.TaskDefinition, TaskOptions {
  readonly cwd?: string;
}

export function taskProvider(): vscode.Disposable {
  return vscode.tasks.registerTaskProvider(TYPE, {
    // only what somebody wrote down
    provideTasks: () => [],
    resolveTask: (task) => {
      try {
        return resolve(task);
      } catch (error) {
        say.failure(error);
        return undefined;
      }
    },
  });
}

function resolve(task: vscode.Task): vscode.Task {
  const definition = task.definition as Definition;
  const home = settings.environment().AUTHSOME_HOME;
  const execution = new vscode.ProcessExecution(settings.client(), taskWords(definition), {
    ...(typeof definition.cwd === "string" ? { cwd: definition.cwd } : {}),
    ...(home === undefined ? {} : { env: { AUTHSOME_HOME: home } }),
  });
  const { scope = vscode.TaskScope.Workspace } = task;
  return new vscode.Task(definition, scope, task.name, TYPE, execution);
}
