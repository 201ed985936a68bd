/** The command "Log In…": which provider, which connection, which way; then the steps, with progress. */

import * as vscode from "vscode";

import { loggedIn } from "../logic/describe";
import { logIn } from "../logic/login";
import { isConnectionName } from "../logic/run";
import { plain } from "../logic/text";
import type { Connection as Socket } from "../protocol/connection";
import { Failure } from "../protocol/failure";
import type { Connection, Flow, LoggedIn, Provider, Request, Via } from "../protocol/messages";
import { type Model, unlocked } from "./model";
import { EditorPerson, isElsewhere } from "./person";
import * as say from "./say";

/** How to log in. */
interface Way {
  readonly via: Via;
  readonly flow: Flow | null;
}

/** What for. */
interface Target {
  readonly provider: Provider;
  readonly connection: string | null;
  readonly force: boolean;
  readonly flow: Flow | null;
}

type Item<T> = vscode.QuickPickItem & { readonly value: T };

const FLOWS: Readonly<Record<Flow, string>> = {
  pkce: "in the browser",
  dcr_pkce: "in the browser, with a client that is registered by itself",
  device_code: "with a code, in a browser anywhere",
  client_credentials: "as the application itself",
  jwt_bearer: "with a service account's key file",
};

/** Asks what for and how, and logs in. */
export async function logInCommand(model: Model): Promise<void> {
  const { providers } = await model.request("providers", "providers");
  const provider = await chooseProvider(providers);
  if (provider === "server") {
    await logInToServer(model);
  } else if (provider !== undefined) {
    const name = await chooseConnection(provider, model.connections);
    if (name !== undefined) {
      await logInTo(model, { provider, flow: null, ...name });
    }
  }
}

/** Logs in again to a connection, and replaces its credential. */
export async function logInAgain(model: Model, connection: Connection): Promise<void> {
  const { providers } = await model.request("providers", "providers");
  const provider = providers.find((one) => one.provider === connection.provider);
  if (provider === undefined) {
    throw Failure.local("bad_answer", `no provider named \`${connection.provider}\``);
  }
  await logInTo(model, { provider, connection: connection.connection, force: true, flow: connection.flow });
}

async function logInTo(model: Model, target: Target): Promise<void> {
  const { provider } = target;
  const way = await chooseWay(provider, target.flow);
  if (way === undefined) {
    return;
  }
  const region = target.force ? null : await chooseRegion(provider);
  if (region === undefined) {
    return;
  }
  const request = (force: boolean): Request => ({
    login: {
      provider: provider.provider,
      connection: target.connection,
      force,
      via: way.via,
      region,
      flow: way.flow,
      scopes: [],
      base_url: null,
      client_id: null,
    },
  });
  await orReplace(provider.display_name, target.force, (force) => run(model, provider.display_name, request(force)));
}

async function logInToServer(model: Model): Promise<void> {
  const url = await vscode.window.showInputBox({
    title: "Log In to a Server",
    prompt: "Its https address. What it says of itself becomes a definition of your own.",
    value: "https://",
    ignoreFocusOut: true,
    validateInput: (text) => (/^https:\/\/[^/\s]+/.test(text) ? undefined : "https://HOST/…"),
  });
  if (url === undefined) {
    return;
  }
  const request = (force: boolean): Request => ({
    login_server: { url, connection: null, force, via: "form", scopes: [], client_id: null },
  });
  await orReplace(url, false, (force) => run(model, url, request(force)));
}

/** Goes through a login under a notification that can cancel it. */
async function run(model: Model, name: string, request: Request): Promise<void> {
  const socket: Socket = await model.need();
  const done = await vscode.window.withProgress<LoggedIn | undefined>(
    { location: vscode.ProgressLocation.Notification, title: `Logging in to ${plain(name)}`, cancellable: true },
    async (progress, token) => {
      const stop = new AbortController();
      const cancelled = token.onCancellationRequested(() => stop.abort());
      const person = new EditorPerson(name, (message) => progress.report({ message }));
      try {
        return await unlocked(socket, () => logIn(socket, request, person, stop.signal));
      } catch (error) {
        if (stop.signal.aborted || Failure.of(error).code === "given_up") {
          return undefined;
        }
        throw error;
      } finally {
        cancelled.dispose();
      }
    },
  );
  if (done !== undefined) {
    say.info(loggedIn(done));
    await model.refresh();
  }
}

/** Asks before a credential is replaced. */
async function orReplace(name: string, force: boolean, login: (force: boolean) => Promise<void>): Promise<void> {
  try {
    await login(force);
  } catch (error) {
    const failure = Failure.of(error);
    if (failure.code !== "already_connected" || force) {
      throw error;
    }
    if (await say.confirm(`Replace the credential of ${name}?`, failure.line, "Replace")) {
      await login(true);
    }
  }
}

async function chooseProvider(providers: readonly Provider[]): Promise<Provider | "server" | undefined> {
  const server: Item<Provider | "server"> = {
    label: "A server by its address…",
    description: "MCP and other servers that say how to log in",
    value: "server",
  };
  const items = [...providers]
    // what cannot be had yet comes last
    .sort(
      (one, other) =>
        Number(one.not_yet !== null) - Number(other.not_yet !== null) ||
        one.display_name.localeCompare(other.display_name),
    )
    .map((provider): Item<Provider | "server"> => {
      const connected = provider.connections === 0 ? [] : [`${provider.connections} connected`];
      return {
        label: plain(provider.display_name),
        description: [provider.provider, authWords(provider.auth), ...connected].join(" · "),
        ...(provider.not_yet === null ? {} : { detail: `not yet: ${plain(provider.not_yet)}` }),
        value: provider,
      };
    });
  const chosen = await vscode.window.showQuickPick([...items, server], {
    title: "Log In",
    placeHolder: "To which provider?",
    matchOnDescription: true,
  });
  const provider = chosen?.value;
  if (typeof provider === "object" && provider.not_yet !== null) {
    say.info(`${provider.display_name}: ${provider.not_yet}`);
    return undefined;
  }
  return provider;
}

async function chooseConnection(
  provider: Provider,
  connections: readonly Connection[],
): Promise<{ connection: string | null; force: boolean } | undefined> {
  const known = connections.filter((one) => one.provider === provider.provider);
  if (known.length === 0) {
    return { connection: null, force: false };
  }
  const items: Item<Connection | undefined>[] = known.map((one) => ({
    label: `Replace ${one.connection}`,
    description: one.is_default ? "the default" : "",
    value: one,
  }));
  const chosen = await vscode.window.showQuickPick(
    [{ label: "Another connection…", description: "beside what is there", value: undefined }, ...items],
    { title: `Log In to ${plain(provider.display_name)}` },
  );
  if (chosen === undefined) {
    return undefined;
  }
  if (chosen.value !== undefined) {
    return { connection: chosen.value.connection, force: true };
  }
  const name = await vscode.window.showInputBox({
    title: "Name of the New Connection",
    prompt: "Such as `team`",
    validateInput: (text) => {
      if (!isConnectionName(text)) {
        return "letters, digits, and behind the first also - _ .";
      }
      return known.some((one) => one.connection === text) ? "there is one of that name" : undefined;
    },
  });
  return name === undefined ? undefined : { connection: name, force: false };
}

async function chooseWay(provider: Provider, usual: Flow | null): Promise<Way | undefined> {
  const what = provider.auth === "api_key" ? "the key" : provider.auth === "browser" ? "the cookies" : "what is asked for";
  const inBrowser: Item<Way> = {
    label: "In the browser",
    description: isElsewhere()
      ? "a page of the daemon's asks; for a browser on that machine"
      : "a page of the daemon's asks; the editor sees no secret",
    value: { via: "form", flow: usual },
  };
  const here: Item<Way> = {
    label: "Enter it here",
    description: `${what}, hidden`,
    value: { via: "submit", flow: usual },
  };
  const items = [
    ...(isElsewhere() ? [here, inBrowser] : [inBrowser, here]),
    ...provider.flows.slice(1).map((flow): Item<Way> => {
      const via = flow === "jwt_bearer" ? "submit" : "form";
      return { label: `OAuth: ${FLOWS[flow] ?? flow}`, description: flow, value: { via, flow } };
    }),
  ];
  const chosen = await vscode.window.showQuickPick(items, {
    title: `Log In to ${plain(provider.display_name)}`,
    placeHolder: "How?",
  });
  return chosen?.value;
}

async function chooseRegion(provider: Provider): Promise<string | null | undefined> {
  if (provider.regions.length === 0) {
    return null;
  }
  const items: Item<string | null>[] = [
    { label: "All regions", value: null },
    ...provider.regions.map((region) => ({ label: plain(region), value: region })),
  ];
  const chosen = await vscode.window.showQuickPick(items, {
    title: `Log In to ${plain(provider.display_name)}`,
    placeHolder: "The hosts of which region get the credential?",
  });
  return chosen?.value;
}

function authWords(auth: string): string {
  const words: Readonly<Record<string, string>> = { api_key: "API key", oauth2: "OAuth", browser: "browser session" };
  return words[auth] ?? plain(auth);
}
