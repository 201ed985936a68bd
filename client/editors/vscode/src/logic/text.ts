/**
 * Text of others, fit to be shown.
 *
 * What comes from the daemon has passed through servers, definitions and programs. Editors read more into a text
 * than letters: notifications make links, also links that execute commands, of `[text](command:…)`; labels make icons of
 * `$(name)`. Everything of others passes through {@link plain} on its way to a person.
 */

/** Controls, and characters that turn, join or hide what stands beside them. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;

/** Longest text in a label or a notification; more is cut. */
const SHOWN_MAX = 600;

/** One line without controls, without the beginnings of links and icons. */
export function plain(text: string, longest = SHOWN_MAX): string {
  const line = printable(text.replace(/\s+/gu, " ")).replaceAll("](", "] (").replaceAll("$(", "$ (");
  return line.length > longest ? `${line.slice(0, longest - 1)}…` : line;
}

/** One line without controls, for places that show letters only. */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, "\uFFFD");
}

/**
 * An address that may be opened in a browser: `https`, or `http` on this machine; `undefined` for any other. What a
 * server says may be an address of any scheme, and an editor's own schemes do things.
 */
export function webAddress(text: string): URL | undefined {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    return undefined;
  }
  const here = ["127.0.0.1", "[::1]", "localhost"].includes(url.hostname);
  return url.protocol === "https:" || (url.protocol === "http:" && here) ? url : undefined;
}

/** A duration for people, in the largest unit that says enough. */
export function duration(seconds: number): string {
  const of = (unit: number, name: string): string => `${Math.floor(seconds / unit)} ${name}`;
  if (seconds < 90) {
    return of(1, "s");
  }
  if (seconds < 90 * 60) {
    return of(60, "min");
  }
  return seconds < 36 * 3600 ? of(3600, "h") : of(86_400, "d");
}

/** A time of the wire in this machine's time, to the second; as it is if it is no time. */
export function localTime(rfc3339: string): string {
  const time = new Date(rfc3339);
  if (Number.isNaN(time.getTime())) {
    return printable(rfc3339);
  }
  const two = (part: number): string => String(part).padStart(2, "0");
  const day = [time.getFullYear(), two(time.getMonth() + 1), two(time.getDate())].join("-");
  return `${day} ${[time.getHours(), time.getMinutes(), time.getSeconds()].map(two).join(":")}`;
}
