// How a test speaks to a Node program: one JSON object a line on standard input, one answer a line
// on standard output. When the input ends, whoever asked is gone, and the program ends too.
import { createInterface } from "node:readline";

// Calls `commands[line.do](line)` for each line, one after the other.
export async function serve(commands, onEnd = () => {}) {
  for await (const text of createInterface({ input: process.stdin })) {
    const line = JSON.parse(text);
    let answer;
    try {
      answer = { ok: (await commands[line.do](line)) ?? null };
    } catch (error) {
      answer = { error: String(error?.stack ?? error) };
    }
    process.stdout.write(`${JSON.stringify(answer)}\n`);
  }
  await onEnd();
  process.exit(0);
}
