/**
 * A login, step by step (docs/protocol.md, "A login, step by step").
 *
 * The daemon says what a person must do now; {@link Person} has it done. A step may follow by itself: the form's page
 * leads on to the authorization server's. Then it is shown, and nothing is opened that the browser has open.
 *
 * Invariants:
 * - LG1 A login that does not end well is given up at the daemon, which closes its page.
 * - LG2 A reason is said once, however often the daemon repeats it.
 * - LG3 A secret goes from the person's answer into the request and nowhere else.
 */

import type { Connection } from "../protocol/connection";
import { Failure } from "../protocol/failure";
import type { Asks, Event, LoggedIn, LoginAnswer, LoginStarted, Request, Step } from "../protocol/messages";
import { duration, webAddress } from "./text";

/** What a person is asked, and what there is to know about it. */
export interface Question {
  readonly name: string;
  readonly asks: Asks;
  readonly hint: string | null;
  readonly keyUrls: readonly string[];
  /** Why the last answer was not taken. */
  readonly again: string | null;
}

/** What only a person, or a browser, can do. Texts are the daemon's, as they came. */
export interface Person {
  /** Asks; `undefined` when the person gave up. */
  ask(question: Question, signal: AbortSignal): Promise<LoginAnswer | undefined>;
  /** Opens a page of the web. False where no browser opened. */
  open(url: URL): Promise<boolean>;
  /** Shows a code that is to be entered at `url`. Gives whether to open that page. */
  code(code: string, url: string, signal: AbortSignal): Promise<boolean>;
  /** Offers a field for the address that a browser elsewhere ends at, again after each; calls `take` with what was put there. */
  paste(redirectUri: string, listens: boolean, take: (address: string) => void, signal: AbortSignal): void;
  /** Says what is waited for. */
  progress(text: string): void;
  /** Says that something was not taken; the login goes on. */
  warn(text: string): void;
}

type Ended = { readonly name: "logged_in"; readonly value: LoggedIn };
type Next = Ended | { readonly name: "login_started"; readonly value: LoginStarted };

/** Sends the request that begins a login, and goes through its steps. `signal` gives it up. */
export async function logIn(
  connection: Connection,
  request: Request,
  person: Person,
  signal: AbortSignal,
): Promise<LoggedIn> {
  const { value: started } = await connection.request(request, "login_started");
  try {
    return await walk(connection, started, person, signal);
  } catch (error) {
    // it may be over already; what matters is that it does not wait for nobody (LG1)
    await connection.request({ login_cancel: { login: started.login } }, "done").catch(() => undefined);
    throw error;
  }
}

/** That a person gave it up. Nothing has failed. */
export function givenUp(): Failure {
  return Failure.local("given_up", "the login was cancelled");
}

async function walk(
  connection: Connection,
  started: LoginStarted,
  person: Person,
  signal: AbortSignal,
): Promise<LoggedIn> {
  let now = started;
  const browser = { open: false };
  for (;;) {
    const next: Next | Step =
      asksHere(now.step) === undefined
        ? await wait(connection, now, person, browser, signal)
        : await answer(connection, now, person, signal);
    if (typeof next === "string" || !("name" in next)) {
      now = { ...now, step: next };
    } else if (next.name === "logged_in") {
      return next.value;
    } else {
      now = next.value;
    }
  }
}

/** Answers what is asked for, until it is taken. */
async function answer(
  connection: Connection,
  now: LoginStarted,
  person: Person,
  signal: AbortSignal,
): Promise<Next> {
  const asks = asksHere(now.step);
  let again: string | null = null;
  while (asks !== undefined) {
    const { display_name: name, hint, key_urls: keyUrls } = now;
    const said = await orGivenUp(person.ask({ name, asks, hint, keyUrls, again }, signal), signal);
    if (said === undefined) {
      break;
    }
    person.progress("checking it");
    try {
      return await orGivenUp(
        connection.request({ login_answer: { login: now.login, answer: said } }, ["login_started", "logged_in"]),
        signal,
      );
    } catch (error) {
      const failure = Failure.of(error);
      if (failure.code !== "invalid_secret") {
        throw failure;
      }
      again = failure.hint === null ? failure.line : `${failure.line}; ${failure.hint}`;
    }
  }
  throw givenUp();
}

/** Shows a step and waits: for the end, for a step that asks, or for what was pasted to be taken. */
async function wait(
  connection: Connection,
  now: LoginStarted,
  person: Person,
  browser: { open: boolean },
  signal: AbortSignal,
): Promise<Next | Step> {
  const { login } = now;
  let step = now.step;
  let left = now.seconds_left;
  let shown = new AbortController();
  let lastReason: string | null = null;
  let pasting = false;

  return new Promise<Next | Step>((resolve, reject) => {
    const over = new AbortController();
    const finish = (outcome: Next | Step | Failure): void => {
      shown.abort();
      over.abort();
      signal.removeEventListener("abort", giveUp);
      if (outcome instanceof Failure) {
        reject(outcome);
      } else {
        resolve(outcome);
      }
    };
    const giveUp = (): void => finish(givenUp());
    const reason = (text: string): void => {
      if (text !== lastReason) {
        lastReason = text;
        person.warn(text);
      }
    };
    const progress = (what: string): void => {
      person.progress(left > 0 ? `${what}; ${duration(left)} left` : what);
    };
    const take = (address: string): void => {
      pasting = true;
      person.progress("checking it");
      const request: Request = { login_answer: { login, answer: { redirect: address } } };
      connection.request(request, ["login_started", "logged_in"]).then(finish, (error: unknown) => {
        // whether this was the end is told to the one who waits
        pasting = false;
        reason(Failure.of(error).message);
      });
    };
    const show = (): void => {
      shown.abort();
      shown = new AbortController();
      lastReason = null;
      progress(waitingFor(step));
      void present(step, person, browser, take, shown.signal).catch((error: unknown) => finish(Failure.of(error)));
    };
    const onEvent = (event: Event): void => {
      if (over.signal.aborted || event.name !== "login_progress" || event.value.login !== login) {
        return;
      }
      const { stage } = event.value;
      if (stage === "storing") {
        person.progress("storing it");
      } else if (stage === "exchanging") {
        person.progress("asking the server for tokens");
      } else if ("waiting" in stage) {
        left = stage.waiting.seconds_left;
        progress(waitingFor(step));
      } else if ("rejected" in stage) {
        // who pasted hears the same as an answer
        if (!pasting) {
          reason(stage.rejected.reason);
        }
      } else if ("step" in stage && JSON.stringify(stage.step) !== JSON.stringify(step)) {
        step = stage.step;
        if (asksHere(step) === undefined) {
          show();
        } else {
          finish(step);
        }
      }
    };

    if (signal.aborted) {
      finish(givenUp());
      return;
    }
    signal.addEventListener("abort", giveUp, { once: true });
    connection
      .request({ login_wait: { login } }, "logged_in", { events: onEvent })
      .then(finish, (error: unknown) => finish(Failure.of(error)));
    show();
  });
}

/** Shows a step, and opens its page unless the browser is on its way there. */
async function present(
  step: Step,
  person: Person,
  browser: { open: boolean },
  take: (address: string) => void,
  signal: AbortSignal,
): Promise<void> {
  if (step === "wait" || "enter" in step) {
    return;
  }
  if ("form" in step) {
    browser.open = await open(step.form.url, person);
    if (!browser.open) {
      person.warn(`no browser could be opened; open ${step.form.url} yourself`);
    }
  } else if ("authorize" in step) {
    const { url, redirect_uri: redirectUri, listens } = step.authorize;
    if (!browser.open && !(await open(url, person))) {
      person.warn(`no browser could be opened; open ${url} yourself`);
    }
    if (!signal.aborted) {
      person.paste(redirectUri, listens, take, signal);
    }
  } else {
    const { code, url, url_with_code: withCode } = step.device;
    const wanted = await person.code(code, url, signal);
    if (wanted && !signal.aborted && !(await open(withCode ?? url, person))) {
      person.warn(`no browser could be opened; open ${url} yourself`);
    }
  }
}

async function open(url: string, person: Person): Promise<boolean> {
  const address = webAddress(url);
  if (address === undefined) {
    throw Failure.local("bad_answer", "the login leads to an address that is not opened", [
      "only `https` is, and `http` on this machine",
    ]);
  }
  return person.open(address);
}

/** What a step asks of us, if it does. */
function asksHere(step: Step): Asks | undefined {
  return typeof step === "object" && "enter" in step ? step.enter.asks : undefined;
}

function waitingFor(step: Step): string {
  if (step === "wait") {
    return "waiting for the server";
  }
  if ("device" in step) {
    return `enter the code ${step.device.code} at ${step.device.url}`;
  }
  return "form" in step ? "waiting for the page in the browser" : "waiting for the browser";
}

function orGivenUp<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = (): void => reject(givenUp());
    if (signal.aborted) {
      stop();
    }
    signal.addEventListener("abort", stop, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", stop));
  });
}
