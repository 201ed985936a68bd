// get.mjs URL: the same with `https` as an ECMAScript module imports it, and an agent of its own.
import { Agent, get } from 'node:https';

const request = get(process.argv[2], { agent: new Agent({ keepAlive: false }) }, async (answer) => {
  for await (const part of answer) process.stdout.write(part);
  if (answer.statusCode !== 200) process.exitCode = 1;
});
request.on('error', (error) => {
  console.error(error);
  process.exitCode = 1;
});
