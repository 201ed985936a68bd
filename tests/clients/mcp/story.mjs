// The official clients against a server on standard input and output.
//
// usage: node story.mjs OLD|NEW PROGRAM ARGUMENT...; prints what it saw as one JSON object.
//
// OLD is the client of the revisions with a handshake, NEW the one that also speaks 2026-07-28 and finds
// out by itself. Both check every message against the schemas of the protocol, and what a tool tells
// against the schema that the tool announced.
const [kind, program, ...words] = process.argv.slice(2);
const old = kind === 'OLD';
const { Client } = await import(old ? '@modelcontextprotocol/sdk/client/index.js' : '@modelcontextprotocol/client');
const { StdioClientTransport } = await import(
  old ? '@modelcontextprotocol/sdk/client/stdio.js' : '@modelcontextprotocol/client/stdio'
);

const seen = { errors: [], pages: [], progress: 0 };
const options = { capabilities: { elicitation: { url: {} } } };
if (!old) options.versionNegotiation = { mode: 'auto' };
const client = new Client({ name: 'story', version: '1' }, options);
client.onerror = (error) => seen.errors.push(String(error));
const elicited = async (request) => {
  seen.pages.push(request.params.url);
  return { action: 'accept' };
};
if (old) {
  const { ElicitRequestSchema } = await import('@modelcontextprotocol/sdk/types.js');
  client.setRequestHandler(ElicitRequestSchema, elicited);
} else {
  client.setRequestHandler('elicitation/create', elicited);
}
const transport = new StdioClientTransport({ command: program, args: words, env: process.env, stderr: 'inherit' });
await client.connect(transport);
seen.server = client.getServerVersion();
seen.protocol = old ? transport.protocolVersion ?? client.getNegotiatedProtocolVersion?.() : client.getNegotiatedProtocolVersion();
seen.instructions = client.getInstructions()?.length > 0;
if (old) await client.ping();
seen.tools = (await client.listTools()).tools.map((tool) => tool.name);

const call = async (name, args, more) => {
  const params = { name, arguments: args };
  const result = old ? await client.callTool(params, undefined, more) : await client.callTool(params, more);
  if (result.isError && !result.structuredContent) return { isError: true, text: result.content[0].text };
  return result.structuredContent;
};
seen.status = await call('status', {});
seen.connections = await call('list_connections', {});
seen.providers = await call('list_providers', { search: 'intercom' });
seen.explained = await call('explain_request', { url: 'https://api.intercom.io/me' });
seen.refusals = await call('recent_refusals', {});
seen.login = await call('login', { provider: 'intercom' });
seen.again = await call(
  'login_status',
  { login: seen.login.login, wait_seconds: 2 },
  { onprogress: () => (seen.progress += 1) },
);
seen.mistake = await call('login', { provider: 'no such provider' });
seen.cancelled = await call('cancel_login', { login: seen.login.login });
seen.failed = await call('login_status', { login: seen.login.login });
try {
  await call('export', {});
} catch (error) {
  seen.unknown = error.code;
}
const controller = new AbortController();
const other = await call('login', { provider: 'intercom' });
const waits = call('login_status', { login: other.login, wait_seconds: 55 }, { signal: controller.signal });
setTimeout(() => controller.abort('enough'), 200);
seen.aborted = await waits.then(
  () => false,
  () => true,
);
seen.after = (await call('status', {})).connections;
await client.close();
console.log(JSON.stringify(seen));
