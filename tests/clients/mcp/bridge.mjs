// Streamable HTTP in front of a server that speaks on standard input and output, for the conformance
// suite, which speaks HTTP. It passes messages on unread but for their ids: what is judged is the server.
//
// usage: node bridge.mjs PROGRAM ARGUMENT...; prints its address. Ends with its input.
//
// A handshake starts a process of its own, which `Mcp-Session-Id` names from then on; requests that speak
// for themselves (2026-07-28) share one. Ids are made unique on the way, for clients share that one.
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';

const [program, ...words] = process.argv.slice(2);
const VERSION = 'io.modelcontextprotocol/protocolVersion';

class Server {
  constructor() {
    this.waiting = new Map();
    this.next = 1;
    this.child = spawn(program, words, { stdio: ['pipe', 'pipe', 'inherit'] });
    createInterface({ input: this.child.stdout }).on('line', (line) => this.hear(JSON.parse(line)));
  }

  hear(message) {
    if (message.method === undefined) {
      const found = this.waiting.get(message.id);
      if (!found) throw new Error(`an answer to nobody: ${JSON.stringify(message)}`);
      this.waiting.delete(message.id);
      found.done({ ...message, id: found.id });
      return;
    }
    const about = message.params?._meta?.['io.modelcontextprotocol/subscriptionId'];
    const token = message.params?.progressToken;
    for (const [id, one] of this.waiting) {
      if (about === id) {
        message.params._meta['io.modelcontextprotocol/subscriptionId'] = one.id;
        one.tell(message);
      } else if (token !== undefined && one.token === token) {
        one.tell(message);
      }
    }
  }

  say(message) {
    this.child.stdin.write(JSON.stringify(message) + '\n');
  }

  ask(message, tell) {
    const id = this.next++;
    this.say({ ...message, id });
    const done = new Promise((done) => {
      this.waiting.set(id, { id: message.id, done, tell, token: message.params?._meta?.progressToken });
    });
    return { id, done };
  }
}

const sessions = new Map();
let shared;

const http = createServer(async (request, response) => {
  if (request.method === 'DELETE') {
    const session = request.headers['mcp-session-id'];
    sessions.get(session)?.child.stdin.end();
    sessions.delete(session);
    response.writeHead(204).end();
    return;
  }
  if (request.method !== 'POST') {
    response.writeHead(405).end();
    return;
  }
  let text = '';
  for await (const chunk of request) text += chunk;
  const message = JSON.parse(text);
  const headers = { 'content-type': 'application/json' };
  let server;
  if (message.method === 'initialize' && message.params?._meta?.[VERSION] === undefined) {
    const session = randomUUID();
    server = new Server();
    sessions.set(session, server);
    headers['mcp-session-id'] = session;
  } else {
    server = sessions.get(request.headers['mcp-session-id']) ?? (shared ??= new Server());
  }
  if (message.id === undefined || message.method === undefined) {
    server.say(message);
    response.writeHead(202).end();
    return;
  }
  let streams = false;
  const asked = server.ask(message, (event) => {
    if (!streams) response.writeHead(200, { ...headers, 'content-type': 'text/event-stream' });
    streams = true;
    response.write(`event: message\ndata: ${JSON.stringify(event)}\n\n`);
  });
  response.on('close', () => {
    if (response.writableEnded) return;
    server.say({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: asked.id } });
    server.waiting.delete(asked.id);
  });
  const answer = await asked.done;
  if (streams) {
    response.end(`event: message\ndata: ${JSON.stringify(answer)}\n\n`);
    return;
  }
  // the statuses that the HTTP transport has for a server's errors
  const code = answer.error?.code;
  const status = code === -32601 ? 404 : code === undefined ? 200 : 400;
  const legacy = headers['mcp-session-id'] || sessions.has(request.headers['mcp-session-id']);
  response.writeHead(legacy ? 200 : status, headers).end(JSON.stringify(answer));
});
http.listen(0, '127.0.0.1', () => {
  console.log(`http://127.0.0.1:${http.address().port}/mcp`);
});
process.stdin.resume().on('end', () => {
  for (const server of [...sessions.values(), shared]) server?.child.stdin.end();
  process.exit(0);
});
