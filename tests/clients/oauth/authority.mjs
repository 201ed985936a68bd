// A real authorization server, oidc-provider, with a test's hands on it.
//
// The first command is `start`; it answers with the port. Every request to an endpoint that programs
// use is put on record. `tests/src/authority.rs` says what each control is for.
import { AsyncLocalStorage } from "node:async_hooks";
import { generateKeyPairSync, verify } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:https";
import Provider from "oidc-provider";
import { serve } from "./lines.mjs";
import * as pages from "./pages.mjs";
import { Store } from "./store.mjs";

const DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code";
const JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const ACCOUNT = "ada";

const store = new Store();
const requests = [];
const reused = { grants: 0, codes: 0 };
const serviceAccounts = new Map();
// what the next requests to an endpoint meet; see `meet`
const controls = new Map();
const current = new AsyncLocalStorage();
const sockets = new Set();
let settings;
let provider;
let server;
let endpoints; // path → name
let unreachable = false;

const control = (endpoint) => {
  if (!controls.has(endpoint)) {
    controls.set(endpoint, { delay: 0, fail: [], lose: 0, drop: 0, patch: {}, holds: {} });
  }
  return controls.get(endpoint);
};

const commands = {
  async start(line) {
    settings = line;
    const routes = {
      authorization: "/auth",
      code_verification: "/device",
      device_authorization: "/device/auth",
      introspection: "/token/introspection",
      jwks: "/jwks",
      registration: "/reg",
      revocation: "/token/revocation",
      token: "/token",
      ...line.routes,
    };
    endpoints = new Map(Object.entries(routes).map(([name, path]) => [path, name]));
    endpoints.set("/.well-known/openid-configuration", "metadata");
    endpoints.set("/.well-known/oauth-authorization-server", "metadata");
    for (const client of line.clients) commands.client({ client });
    // a device that asks every five seconds makes slow tests
    control("device_authorization").patch = { interval: 1 };
    provider = makeProvider(routes);
    const callback = provider.callback();
    const tls = { key: readFileSync(line.key), cert: readFileSync(line.cert) };
    server = createServer(tls, (request, response) => {
      handle(request, response, callback).catch((error) => {
        console.error(error);
        response.destroy();
      });
    });
    server.keepAliveTimeout = 60_000;
    server.on("connection", (socket) => {
      if (unreachable) return socket.destroy();
      sockets.add(socket);
      socket.on("close", () => sockets.delete(socket));
    });
    await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
    return { port: server.address().port };
  },
  requests: () => requests,
  issued: () => [...store.issued],
  reused: () => reused,
  forget: () => {
    requests.length = 0;
  },
  set: ({ settings: changed }) => {
    Object.assign(settings, changed);
  },
  client: ({ client }) => {
    store.all("Client").set(client.client_id, client);
    if (client.client_secret) store.issued.add(client.client_secret);
  },
  client_of: ({ id }) => store.all("Client").get(id),
  control: ({ endpoint, set }) => {
    const { fail, ...others } = set;
    const meets = control(endpoint);
    Object.assign(meets, others);
    if (fail) meets.fail.push(...fail);
  },
  hold: ({ endpoint, when }) => {
    control(endpoint).holds[when] ??= [];
  },
  held: ({ endpoint, when }) => control(endpoint).holds[when]?.length ?? 0,
  release: ({ endpoint, when }) => {
    const waiting = control(endpoint).holds[when] ?? [];
    delete control(endpoint).holds[when];
    for (const go of waiting) go();
    return waiting.length;
  },
  reach: ({ possible }) => {
    unreachable = !possible;
    if (unreachable) for (const socket of sockets) socket.destroy();
  },
  token: ({ token }) => facts(token),
  expire: () => store.all("AccessToken").clear(),
  revoke: () => store.revoke(undefined),
  service_account: ({ email, pem }) => {
    serviceAccounts.set(email, pem);
  },
};

function makeProvider(routes) {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const made = new Provider(settings.issuer, {
    adapter: store.adapter(),
    routes,
    scopes: settings.scopes,
    jwks: { keys: [{ ...privateKey.export({ format: "jwk" }), alg: "ES256", use: "sig" }] },
    clientDefaults: { id_token_signed_response_alg: "ES256" },
    // a token that has expired is worth nothing, not even a little longer
    clockTolerance: 0,
    cookies: { keys: ["a key of a test"] },
    pkce: { methods: ["S256"], required: () => settings.pkce_required },
    claims: { openid: ["sub"], email: ["email"], profile: ["name"] },
    extraParams: ["access_type", "audience"],
    responseTypes: ["code"],
    issueRefreshToken: (_ctx, client) =>
      settings.refresh_tokens && client.grantTypeAllowed("refresh_token"),
    rotateRefreshToken: () => settings.rotation,
    // else the tokens die with the browser's session
    expiresWithSession: () => false,
    ttl: {
      AccessToken: () => settings.access_ttl,
      ClientCredentials: () => settings.access_ttl,
      DeviceCode: () => settings.device_ttl,
      AuthorizationCode: 60,
      Grant: 14 * 86_400,
      IdToken: 3_600,
      Interaction: 3_600,
      RefreshToken: 14 * 86_400,
      Session: 14 * 86_400,
    },
    findAccount: (_ctx, id) => ({
      accountId: id,
      claims: () => ({ sub: id, name: id, email: `${id}@example.com` }),
    }),
    interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
    renderError: (ctx, out) => {
      ctx.type = "html";
      ctx.body = pages.failed(out);
    },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      introspection: { enabled: true, allowedPolicy: () => true },
      pushedAuthorizationRequests: { enabled: false },
      registration: { enabled: true },
      resourceIndicators: {
        enabled: true,
        useGrantedResource: () => true,
        getResourceServerInfo: (_ctx, resource) => ({
          scope: settings.scopes.join(" "),
          audience: resource,
          accessTokenTTL: settings.access_ttl,
          accessTokenFormat: "opaque",
        }),
      },
      revocation: { enabled: true },
      deviceFlow: {
        enabled: true,
        userCodeInputSource: (ctx, form, out, error) => {
          const said = out?.error_description ?? error?.userCode;
          ctx.body = pages.enterCode(form, error && (said ?? "this code is not right"));
        },
        userCodeConfirmSource: (ctx, form, client, _device, code) => {
          ctx.body = pages.confirmCode(form, client.clientId, code);
        },
        successSource: (ctx) => {
          ctx.body = pages.connected();
        },
      },
    },
  });
  made.use(interactions);
  made.use(observe);
  made.on("grant.revoked", (ctx) => {
    if (ctx.oidc.route !== "token") return;
    if (ctx.oidc.params.grant_type === "refresh_token") reused.grants += 1;
    else reused.codes += 1;
  });
  made.on("server_error", (_ctx, error) => console.error(error));
  return made;
}

// Login and consent in one page, one answer.
async function interactions(ctx, next) {
  if (!ctx.path.startsWith("/interaction/")) return next();
  const { uid, params, session } = await provider.interactionDetails(ctx.req, ctx.res);
  if (ctx.method === "GET" && !settings.auto_approve) {
    ctx.type = "html";
    ctx.body = pages.question(uid, params.client_id, params);
    return undefined;
  }
  ctx.respond = false;
  const allowed = ctx.method === "GET" || (await read(ctx.req)).includes("answer=allow");
  if (!allowed) {
    const denied = { error: "access_denied", error_description: "the person said no" };
    return provider.interactionFinished(ctx.req, ctx.res, denied);
  }
  const accountId = session?.accountId ?? ACCOUNT;
  const grant = new provider.Grant({ accountId, clientId: params.client_id });
  if (params.scope) grant.addOIDCScope(params.scope);
  for (const resource of [params.resource ?? []].flat()) {
    grant.addResourceScope(resource, params.scope ?? "");
  }
  const consent = { grantId: await grant.save() };
  return provider.interactionFinished(ctx.req, ctx.res, { login: { accountId }, consent });
}

// Adds what only the provider knows to the record, and changes answers as the test wants.
async function observe(ctx, next) {
  if (ctx.path === "/.well-known/oauth-authorization-server") {
    ctx.path = "/.well-known/openid-configuration";
  }
  await next();
  const entry = current.getStore();
  if (!entry) return;
  entry.client_id = ctx.oidc?.client?.clientId ?? entry.client_id;
  if (ctx.body?.constructor === Object) {
    ctx.body = patched(ctx.body, control(entry.endpoint).patch, ctx.status);
  }
}

// Fields are replaced, and with `null` removed; answers that are errors stay as they are.
function patched(body, patch, status) {
  if (status >= 400) return body;
  const merged = Object.entries({ ...body, ...patch });
  return Object.fromEntries(merged.filter(([, value]) => value !== null));
}

async function handle(request, response, callback) {
  const url = new URL(request.url, settings.issuer);
  const endpoint = endpoints.get(url.pathname) ?? (url.pathname.startsWith("/reg/") && "registration");
  if (!endpoint || endpoint === "code_verification") return callback(request, response);
  let body = request.method === "GET" ? "" : await read(request);
  const entry = describe(endpoint, request, url, body);
  requests.push(entry);
  if (endpoint.endsWith("authorization") && !entry.params.scope) {
    // oidc-provider refuses to give nothing; real servers have scopes for those who name none
    const scope = `scope=${encodeURIComponent(settings.scopes.at(-1))}`;
    if (body) body += `&${scope}`;
    else request.url += `${url.search ? "&" : "?"}${scope}`;
  }
  const meets = control(endpoint);
  const failure = meets.fail.shift();
  const lost = !failure && meets.lose > 0 && meets.lose--;
  const dropped = !failure && !lost && meets.drop > 0 && meets.drop--;
  await held(meets, "request");
  if (meets.delay) await new Promise((resolve) => setTimeout(resolve, meets.delay));
  if (lost) {
    entry.outcome = "lost";
    return request.socket.destroy();
  }
  const end = response.end.bind(response);
  response.end = (text, ...rest) => {
    entry.status = response.statusCode;
    entry.error = errorOf(text);
    entry.outcome = failure ? "failed" : "processed";
    if (dropped) {
      entry.outcome = "dropped";
      request.socket.destroy();
      return response;
    }
    held(meets, "answer").then(() => {
      if (!failure) entry.outcome = "answered";
      end(text, ...rest);
    });
    return response;
  };
  if (failure) {
    const length = Buffer.byteLength(failure.body);
    response.writeHead(failure.status, { ...failure.headers, "content-length": length });
    return response.end(failure.body);
  }
  if (body) request.body = body;
  return current.run(entry, () =>
    entry.grant_type === JWT_BEARER ? bearer(entry, response) : callback(request, response),
  );
}

async function held(meets, when) {
  if (meets.holds[when]) await new Promise((resolve) => meets.holds[when].push(resolve));
}

async function read(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks).toString("utf8");
}

function describe(endpoint, request, url, body) {
  const text = endpoint === "authorization" && !body ? url.search : body;
  const json = (request.headers["content-type"] ?? "").includes("json");
  const params = json ? { body } : Object.fromEntries(new URLSearchParams(text));
  const [scheme, value] = (request.headers.authorization ?? "").split(" ");
  const basic = scheme.toLowerCase() === "basic";
  const user = basic && Buffer.from(value, "base64").toString("utf8").split(":")[0];
  let auth = "none";
  if (basic) auth = "client_secret_basic";
  else if (params.client_secret) auth = "client_secret_post";
  else if (params.client_assertion) auth = "private_key_jwt";
  return {
    endpoint,
    method: request.method,
    path: request.url,
    headers: request.headers,
    grant_type: params.grant_type ?? null,
    client_id: params.client_id ?? (user ? decodeURIComponent(user) : null),
    auth,
    params,
    consumed: null,
    status: null,
    error: null,
    outcome: "arrived",
  };
}

function errorOf(text) {
  try {
    return JSON.parse(text).error ?? null;
  } catch {
    return null;
  }
}

// RFC 7523, as Google has it: a signed assertion in place of any other authentication.
async function bearer(entry, response) {
  const answer = (status, body) => {
    const text = JSON.stringify(body);
    const headers = { "content-type": "application/json", "cache-control": "no-store" };
    response.writeHead(status, { ...headers, "content-length": Buffer.byteLength(text) });
    response.end(text);
  };
  const refuse = (why) => answer(400, { error: "invalid_grant", error_description: why });
  const parts = (entry.params.assertion ?? "").split(".");
  let header;
  let claims;
  try {
    [header, claims] = parts.slice(0, 2).map((part) => JSON.parse(Buffer.from(part, "base64url")));
  } catch {
    return refuse("the assertion is no JWT");
  }
  const pem = serviceAccounts.get(claims.iss);
  if (!pem || header.alg !== "RS256") return refuse("nobody by that name");
  const signed = Buffer.from(parts.slice(0, 2).join("."));
  if (!verify("sha256", signed, pem, Buffer.from(parts[2] ?? "", "base64url"))) {
    return refuse("Invalid JWT Signature.");
  }
  const now = Date.now() / 1000;
  const token = settings.issuer + entry.path;
  if (claims.aud !== token) return refuse(`aud is ${claims.aud}, not ${token}`);
  if (!(claims.exp > now && claims.exp - claims.iat <= 3_600 && claims.iat < now + 60)) {
    return refuse("Invalid JWT: Token must be a short-lived token (60 minutes)");
  }
  const client = await provider.Client.find(settings.clients[0].client_id);
  const made = new provider.ClientCredentials({ client, scope: claims.scope });
  const access = await made.save();
  const body = { access_token: access, expires_in: settings.access_ttl, token_type: "Bearer" };
  return answer(200, patched(body, control("token").patch, 200));
}

// What a token is worth now, whatever kind it is of.
async function facts(value) {
  for (const model of ["AccessToken", "ClientCredentials", "RefreshToken"]) {
    const token = await provider[model].find(value);
    if (token) {
      return {
        active: !token.consumed,
        kind: model,
        client_id: token.clientId,
        scope: token.scope ?? "",
        audience: [token.aud ?? token.resource ?? []].flat(),
        expires_in: token.exp - Math.floor(Date.now() / 1000),
        grant_id: token.grantId ?? null,
      };
    }
  }
  return { active: false };
}

store.onRefreshToken = (found) => {
  const asking = current.getStore();
  if (asking?.grant_type === "refresh_token") asking.consumed ??= Boolean(found?.consumed);
};

// oidc-provider's warnings about a development set-up are not ours to read
console.warn = () => {};
console.info = () => {};
await serve(commands);
