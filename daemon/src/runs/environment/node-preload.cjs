// Sends what Node itself would not through HTTPS_PROXY: `https` and `fetch`.
//
// authsome puts this file into NODE_OPTIONS of what it starts. Node 22.21, 24.5 and later follow
// HTTPS_PROXY by themselves (NODE_USE_ENV_PROXY=1), except for agents that a program made; older
// ones ignore it. Two doors are wrapped, and nothing is loaded until a program uses them:
//
// - `https.Agent.prototype.createConnection`: the connection begins with a CONNECT to the proxy.
//   The prototype, because SDKs make agents of their own. `https` is not loaded for this (20 ms at
//   each start); its first agent announces itself, since every EventEmitter passes `events.init`,
//   with `require` and with `import` alike.
// - the dispatcher of the built-in `fetch`, at its first call, on versions that need it and unless
//   the program has chosen its own (a ProxyAgent, a MockAgent).
//
// Plain `http:` is left alone, and so is every connection for which a program brings its own socket.
// NO_PROXY is obeyed. Nothing here may keep a program from starting.
'use strict';

(() => {
  const { versions } = process;
  if (versions.bun || versions.deno) return; // both follow HTTPS_PROXY
  const [major, minor] = versions.node.split('.').map(Number);
  const fetchObeys = major > 24 || (major === 24 && minor >= 5) || (major === 22 && minor >= 21);

  const proxyFor = (host, port) => {
    const text = process.env.https_proxy || process.env.HTTPS_PROXY;
    if (!text || !host || bypassed(host, port)) return null;
    try {
      const proxy = new URL(text);
      return proxy.protocol === 'http:' ? proxy : null;
    } catch {
      return null;
    }
  };

  const bypassed = (host, port) => {
    const name = host.toLowerCase().replace(/^\[|\]$/g, '').replace(/\.$/, '');
    const list = process.env.no_proxy || process.env.NO_PROXY || '';
    for (const entry of list.toLowerCase().split(/[\s,]+/)) {
      if (!entry) continue;
      if (entry === '*') return true;
      const [, rule, only] = /^(\[[^\]]*\]|[^:]*|.*:.*:.*?)(?::(\d+))?$/.exec(entry) || [];
      if (rule === undefined || (only && Number(only) !== port)) continue;
      const domain = rule.replace(/^\[|\]$/g, '').replace(/^\*?\./, '');
      if (domain && (name === domain || name.endsWith('.' + domain))) return true;
    }
    return false;
  };

  // A socket that the proxy has connected to host:port, or an error.
  const tunnel = (proxy, host, port, callback) => {
    const http = require('http');
    const bare = host.replace(/^\[|\]$/g, '');
    const target = `${bare.includes(':') ? `[${bare}]` : bare}:${port}`;
    const headers = { host: target };
    if (proxy.username) {
      const pair = `${decodeURIComponent(proxy.username)}:${decodeURIComponent(proxy.password)}`;
      headers['proxy-authorization'] = `Basic ${Buffer.from(pair).toString('base64')}`;
    }
    const request = http.request({
      host: proxy.hostname.replace(/^\[|\]$/g, ''),
      port: proxy.port || 80,
      method: 'CONNECT',
      path: target,
      headers,
      agent: false,
    });
    request.once('error', callback);
    request.once('connect', (response, socket, head) => {
      request.removeListener('error', callback);
      if (response.statusCode !== 200) {
        socket.destroy();
        const reason = response.headers['authsome-error'] || response.statusMessage;
        const error = new Error(`the proxy refused ${target}: ${response.statusCode} ${reason}`);
        callback(Object.assign(error, { code: 'ERR_PROXY_TUNNEL', statusCode: response.statusCode }));
        return;
      }
      if (head.length > 0) socket.unshift(head);
      callback(null, socket);
    });
    request.once('response', (response) => {
      response.resume();
      callback(new Error(`the proxy answered CONNECT ${target} with ${response.statusCode}`));
    });
    request.end();
  };

  const wrapAgent = (prototype) => {
    const original = prototype.createConnection;
    prototype.createConnection = function createConnection(...given) {
      const [options, callback] = given;
      const ours = options && typeof options === 'object' && typeof callback === 'function';
      // `proxyEnv`: Node's own way is on for this agent
      if (!ours || options.socket || options.socketPath || this?.options?.proxyEnv) {
        return original.apply(this, given);
      }
      const host = options.host || options.hostname || 'localhost';
      const port = Number(options.port || 443);
      const proxy = proxyFor(host, port);
      if (!proxy) return original.apply(this, given);
      tunnel(proxy, host, port, (error, socket) => {
        if (error) return callback(error);
        let secured;
        try {
          secured = original.call(this, { ...options, socket });
        } catch (problem) {
          socket.destroy();
          return callback(problem);
        }
        return callback(null, secured);
      });
      return undefined;
    };
  };

  const watchForHttps = () => {
    const events = require('events');
    const { init } = events;
    let waiting = true;
    events.init = function (...given) {
      if (waiting) {
        const prototype = Object.getPrototypeOf(this);
        const isHttps =
          prototype?.constructor?.name === 'Agent' &&
          Object.hasOwn(prototype, '_getSession') &&
          Object.hasOwn(prototype, 'createConnection');
        if (isHttps) {
          waiting = false;
          if (events.init === ours) events.init = init;
          wrapAgent(prototype);
        }
      }
      return init.apply(this, given);
    };
    const ours = events.init;
  };

  const watchForFetch = () => {
    const original = globalThis.fetch;
    if (typeof original !== 'function') return;
    const slot = Symbol.for('undici.globalDispatcher.1');
    let ready = false;
    const fetch = function fetch(...given) {
      if (!ready) {
        ready = true;
        try {
          replaceDispatcher(slot);
        } catch {
          // the program's own dispatcher stays
        }
      }
      return original.apply(this, given);
    };
    const shape = Object.getOwnPropertyDescriptor(globalThis, 'fetch');
    Object.defineProperty(globalThis, 'fetch', {
      value: fetch,
      writable: true,
      configurable: true,
      enumerable: shape?.enumerable ?? true,
    });
  };

  const replaceDispatcher = (slot) => {
    void globalThis.Response; // loads the built-in client, which fills the slot if it is empty
    const current = globalThis[slot];
    if (current?.constructor?.name !== 'Agent') return;
    const symbol = Object.getOwnPropertySymbols(current).find((s) => s.description === 'options');
    const options = (symbol && current[symbol]) || {};
    if (typeof options.connect === 'function') return;
    globalThis[slot] = new current.constructor({ ...options, connect: connector(options.connect) });
  };

  // What the client calls for each new connection of a pool.
  const connector = (settings) => (target, callback) => {
    const host = target.hostname.replace(/^\[|\]$/g, '');
    const secure = target.protocol === 'https:';
    const port = Number(target.port || (secure ? 443 : 80));
    const proxy = secure ? proxyFor(host, port) : null;
    const begin = (error, socket) => {
      if (error) return callback(error, null);
      if (!secure) return watch(socket, 'connect');
      const net = require('net');
      const servername = target.servername || (net.isIP(host) ? undefined : host);
      const base = { ALPNProtocols: ['http/1.1'], ...settings, servername };
      const where = socket ? { socket } : { host, port };
      return watch(require('tls').connect({ ...base, ...where }), 'secureConnect');
    };
    const watch = (socket, ready) => {
      socket.setNoDelay(true);
      const failed = (error) => callback(error, null);
      socket.once('error', failed);
      socket.once(ready, () => {
        socket.removeListener('error', failed);
        callback(null, socket);
      });
    };
    if (proxy) return tunnel(proxy, host, port, begin);
    if (secure) return begin(null, null);
    return begin(null, require('net').connect({ host, port }));
  };

  try {
    watchForHttps();
    if (!fetchObeys) watchForFetch();
  } catch {
    // an unknown Node: it starts as it would without us
  }
})();
