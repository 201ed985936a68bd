// Reads a request's path in the ways that programs on Node do, and says for each where it is routed.
// Usage: node router.cjs SOCKET
'use strict'
const http = require('node:http')
const path = require('node:path')
const url = require('node:url')

const whatwg = (raw) => new URL(raw, 'http://x').pathname
const readings = {
  raw: (raw) => raw,
  whatwg,
  'whatwg, decoded': (raw) => decodeURIComponent(whatwg(raw)),
  'whatwg, decoded, normalised': (raw) => path.posix.normalize(decodeURIComponent(whatwg(raw))),
  'decoded, then whatwg': (raw) => whatwg(decodeURIComponent(raw)),
  'decoded twice': (raw) => path.posix.normalize(decodeURIComponent(decodeURIComponent(raw))),
  'url.parse': (raw) => url.parse(raw).pathname,
  'url.resolve': (raw) => url.parse(url.resolve('http://x/', raw)).pathname,
  normalised: (raw) => path.posix.normalize(decodeURIComponent(raw)),
  windows: (raw) => path.win32.normalize(decodeURIComponent(raw)).replaceAll('\\', '/'),
  segments: (raw) => '/' + raw.split('/').filter(Boolean).map(decodeURIComponent).join('/'),
  'without parameters': (raw) =>
    path.posix.normalize(decodeURIComponent(raw.replace(/;[^/]*/g, ''))),
  'parameters last': (raw) =>
    path.posix.normalize(decodeURIComponent(raw).replace(/;[^/]*/g, '')),
  'a form': (raw) => decodeURIComponent(raw.replaceAll('+', ' ')).trim(),
  NFKC: (raw) => path.posix.normalize(decodeURIComponent(raw).normalize('NFKC'))
}
const routes = {
  exact: /^\/fin(?:\/|$)/,
  'any case': /^\/fin(?:\/|$)/i
}

const server = http.createServer((request, response) => {
  const lines = []
  for (const [name, read] of Object.entries(readings)) {
    let there
    try {
      there = read(request.url)
    } catch {
      continue // this program answers 400
    }
    for (const [kind, route] of Object.entries(routes)) {
      lines.push(`${route.test(there) ? 'fin' : 'rest'} ${name}, ${kind}: ${JSON.stringify(there)}`)
    }
  }
  response.end(lines.join('\n'))
})
server.keepAliveTimeout = 60_000
server.listen(process.argv[2])
