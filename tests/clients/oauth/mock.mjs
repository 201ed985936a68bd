// oauth2-mock-server, with the next answers of its endpoints in a test's hands.
import { OAuth2Server } from "oauth2-mock-server";
import { serve } from "./lines.mjs";

// Where each event's answers come from.
const EVENTS = {
  token: "beforeResponse",
  userinfo: "beforeUserinfo",
  revoke: "beforeRevoke",
  introspect: "beforeIntrospect",
};
const scripts = Object.fromEntries(Object.keys(EVENTS).map((name) => [name, []]));
const requests = [];
let redirects = [];

await serve({
  async start({ issuer, key, cert }) {
    const server = new OAuth2Server(key, cert);
    await server.issuer.keys.generate("ES256");
    await server.start(0, "127.0.0.1");
    server.issuer.url = issuer;
    for (const [name, event] of Object.entries(EVENTS)) {
      server.service.on(event, (answer, request) => {
        requests.push({ endpoint: name, params: request.body ?? {} });
        const script = scripts[name].shift();
        if (!script) return;
        answer.statusCode = script.status;
        answer.body = script.merge ? { ...answer.body, ...script.body } : script.body;
      });
    }
    server.service.on("beforeAuthorizeRedirect", (redirect, request) => {
      requests.push({ endpoint: "authorize", params: request.query });
      const script = redirects.shift() ?? {};
      for (const [name, value] of Object.entries(script)) {
        if (value === null) redirect.url.searchParams.delete(name);
        else redirect.url.searchParams.set(name, value);
      }
    });
    return { port: server.address().port };
  },
  script: ({ endpoint, answers }) => {
    scripts[endpoint].push(...answers);
  },
  redirect: ({ params }) => {
    redirects.push(params);
  },
  requests: () => requests,
});
