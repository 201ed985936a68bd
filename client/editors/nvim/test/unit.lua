-- The pure modules.

local browse = require('authsome.browse')
local client = require('authsome.client')
local command = require('authsome.command')
local expect = require('expect')
local frame = require('authsome.frame')
local hello = require('authsome.hello')
local log = require('authsome.log')
local message = require('authsome.message')
local panel = require('authsome.panel')
local peer = require('authsome.peer')
local places = require('authsome.places')
local run = require('authsome.run')
local start = require('authsome.start')
local state = require('authsome.state')
local steps = require('authsome.steps')
local text = require('authsome.text')
local view = require('authsome.view')

local uv = vim.uv or vim.loop
local same, holds, lacks = expect.same, expect.holds, expect.lacks

local function bytes(hex)
  return (hex:gsub('%s', ''):gsub('%x%x', function(pair)
    return string.char(tonumber(pair, 16))
  end))
end

local function system(files, contents)
  return {
    uid = 1000,
    lstat = function(path)
      return files[path]
    end,
    read = function(path)
      return contents and contents[path]
    end,
  }
end

-- A client of a daemon in miniature.
local function client_of(fake)
  return client.new({
    build = 'test',
    authsome = 'authsome',
    env = function()
      return { AUTHSOME_HOME = fake.home }
    end,
    daemon = error,
  })
end

local tests = {}
local function test(name, body)
  tests[#tests + 1] = { name, body }
end

test('frames come whole from any pieces', function()
  local wire = frame.encode('one') .. frame.encode('') .. frame.encode(('x'):rep(70000))
  for _, size in ipairs({ 1, 3, 4, 5, 4096, #wire }) do
    local reader, got = frame.reader(), {}
    for at = 1, #wire, size do
      reader:push(wire:sub(at, at + size - 1))
      for payload in
        function()
          return (reader:next())
        end
      do
        got[#got + 1] = payload
      end
    end
    same(got, { 'one', '', ('x'):rep(70000) }, 'pieces of ' .. size)
  end
end)

test('a length over the limit is an error for good, and nothing is kept', function()
  local reader = frame.reader()
  reader:push(bytes('00 10 00 01') .. 'abc')
  local payload, why = reader:next()
  same(payload, nil)
  holds(why, '1048577')
  same(reader.held, '')
  reader:push(frame.encode('good'))
  same({ reader:next() }, { nil, why })
  local at_limit = frame.reader()
  at_limit:push(bytes('00 10 00 00'))
  same({ at_limit:next() }, {})
  same((frame.encode(('x'):rep(frame.MAX))):sub(1, 4), bytes('00 10 00 00'))
  same((frame.encode(('x'):rep(frame.MAX + 1))), nil)
end)

test('the opening is that of the document', function()
  same(frame.encode(hello.encode('doc-1')), bytes('00 00 00 13 41 55 54 48 53 4f 4d 45 00 01 00 01 02 05 64 6f 63 2d 31'))
  local answer = hello.decode(bytes('41 55 54 48 53 4f 4d 45 00 01 00 01 02 05 30 2e 31 2e 30'))
  same(answer, { lowest = 1, highest = 1, encoding = 2, build = '0.1.0' })
  same(hello.decode('AUTHSOME\0\1\0\3\2\1xmore of later days').build, 'x')
  same((hello.decode('SSH-2.0-OpenSSH')), nil)
  same((hello.decode('AUTHSOME\0\1\0\1\2\9short')), nil)
  same((hello.decode('')), nil)
end)

test('versions that differ both ways name the command that mends it', function()
  same(hello.agree({ lowest = 1, highest = 7 }), 1)
  same(hello.agree({ lowest = 2, highest = 7 }), nil)
  same(hello.agree({ lowest = 0, highest = 0 }), nil)
  local newer = hello.skew({ lowest = 2, highest = 7, build = '9.0.0' }, 'authsome')
  same(newer.message, 'this plugin speaks protocol 1; the daemon speaks 2 to 7')
  holds(newer.hint, 'update this plugin')
  local older = hello.skew({ lowest = 0, highest = 0, build = '0' }, '/x/authsome')
  holds(older.hint, '`/x/authsome daemon restart`')
end)

test('the hash of a home is FNV-1a of 64 bits', function()
  same(places.fnv1a(''), 'cbf29ce484222325')
  same(places.fnv1a('a'), 'af63dc4c8601ec8c')
  same(places.fnv1a('foobar'), '85944171f73967e8')
end)

test('home and socket are where the document says', function()
  local none = system({})
  local of = function(env, sys)
    return places.resolve(env, sys or none)
  end
  same(of({ HOME = '/home/u', XDG_RUNTIME_DIR = '/run/user/7' }), {
    home = '/home/u/.authsome',
    lock = '/home/u/.authsome/daemon.lock',
    socket = '/run/user/7/authsome/control.sock',
  })
  same(of({ HOME = '/home/u', AUTHSOME_HOME = '/a', XDG_RUNTIME_DIR = '/r' }).socket, '/r/authsome-' .. places.fnv1a('/a') .. '/control.sock')
  same(of({ HOME = '/home/u', XDG_RUNTIME_DIR = '' }).socket, '/home/u/.authsome/run/control.sock')
  local mine = system({ ['/run/user/1000'] = { type = 'directory', uid = 1000 } })
  same(of({ HOME = '/home/u' }, mine).socket, '/run/user/1000/authsome/control.sock')
  local theirs = system({ ['/run/user/1000'] = { type = 'directory', uid = 7 } })
  same(of({ HOME = '/home/u' }, theirs).socket, '/home/u/.authsome/run/control.sock')
  for _, env in ipairs({ {}, { HOME = '' }, { HOME = 'u' }, { HOME = '/h', AUTHSOME_HOME = 'a' }, { HOME = '/h', XDG_RUNTIME_DIR = 'r' } }) do
    same((of(env)), nil)
  end
  local long, why = of({ HOME = '/' .. ('x'):rep(100) })
  same(long, nil)
  holds(why.causes[1], '103')
end)

test('a lock note counts only if it is whole and ours', function()
  same(places.parse_note('pid 42\nsocket /run/a b/c.sock\n'), { pid = 42, socket = '/run/a b/c.sock' })
  for _, torn in ipairs({ '', 'pid 42\n', 'pid 42\nsocket /run/x', 'pid 42\nsocket x\n', 'pid 42\nsocket /x\nmore\n', 'socket /x\npid 42\n' }) do
    same(places.parse_note(torn), nil, torn)
  end
  local at = { home = '/h', lock = '/h/daemon.lock', socket = '/own' }
  local of = function(found)
    return (places.socket(at, system({ ['/h/daemon.lock'] = found }, { ['/h/daemon.lock'] = 'pid 1\nsocket /noted\n' })))
  end
  same(of({ type = 'file', uid = 1000 }), '/noted')
  same(of({ type = 'file', uid = 7 }), '/own')
  same(of({ type = 'link', uid = 1000 }), '/own')
  same(of({ type = 'fifo', uid = 1000 }), '/own')
  same(of(nil), '/own')
end)

test('a link in the place of the lock note is not read', function()
  local folder = vim.fn.tempname()
  vim.fn.mkdir(folder, 'p', 448)
  local file = io.open(folder .. '/note', 'w')
  file:write('pid 1\nsocket /noted\n')
  file:close()
  local real = places.system()
  local at = { lock = folder .. '/note', socket = '/own' }
  same((places.socket(at, real)), '/noted')
  uv.fs_symlink(folder .. '/note', folder .. '/link')
  at.lock = folder .. '/link'
  same((places.socket(at, real)), '/own')
  -- looked at as one file, read as another
  same(real.read(folder .. '/note', { ino = 0, dev = 0 }), nil)
  vim.fn.delete(folder, 'rf')
end)

test('a folder that others can reach into is refused with the reason (L7)', function()
  local of = function(found, socket)
    local refused = places.distrust('/r/control.sock', system({ ['/r'] = found, ['/r/control.sock'] = socket }))
    return refused and refused.message
  end
  same(of(nil), nil)
  same(of({ type = 'directory', uid = 1000, mode = 16832 }), nil)
  same(of({ type = 'directory', uid = 1000, mode = 16832 }, { type = 'socket', uid = 1000 }), nil)
  holds(of({ type = 'link', uid = 1000, mode = 0 }), 'symbolic link')
  holds(of({ type = 'file', uid = 1000, mode = 0 }), 'not a folder')
  holds(of({ type = 'directory', uid = 7, mode = 16832 }), 'user 7')
  holds(of({ type = 'directory', uid = 1000, mode = 16895 }), 'mode 0777')
  holds(of({ type = 'directory', uid = 1000, mode = 16880 }), 'mode 0760')
  holds(of({ type = 'directory', uid = 1000, mode = 16832 }, { type = 'socket', uid = 7 }), 'user 7')
end)

test('the kernel tells whose process listens (L2)', function()
  local path = vim.fn.tempname()
  local server, pipe, done = uv.new_pipe(false), uv.new_pipe(false), false
  server:bind(path)
  server:listen(1, function()
    server:accept(uv.new_pipe(false))
  end)
  pipe:connect(path, function()
    done = true
  end)
  vim.wait(2000, function()
    return done
  end)
  same(peer.uid(pipe), uv.getuid())
  same(peer.uid(uv.new_pipe(false)), nil, 'of what is not connected')
  pipe:close()
  server:close()
end)

test('every golden answer and event is understood', function()
  local fake = require('fake')
  local seen = 0
  for _, path in ipairs(vim.fn.glob(fake.GOLDEN .. '/*.json', true, true)) do
    local kind = vim.fn.fnamemodify(path, ':t'):match('^(%l+)_')
    if kind == 'answer' or kind == 'event' or kind == 'error' then
      local said, why = message.decode(table.concat(vim.fn.readfile(path), '\n'))
      assert(said, ('%s: %s'):format(path, why))
      same(said.id, 9)
      assert(said.name or (kind == 'error' and said.failure.code ~= 'unknown'), path)
      seen = seen + 1
    end
  end
  assert(seen > 60, ('only %d golden files in %s'):format(seen, fake.GOLDEN))
end)

test('requests are written as the golden files are', function()
  local fake = require('fake')
  local of = function(name, request)
    same(vim.json.decode(message.request(9, request)), fake.golden('request_' .. name), name)
  end
  of('status', 'status')
  of('login_cancel', { login_cancel = { login = 'abc' } })
  of('login_answer_secret', { login_answer = { login = 'abc', answer = { secret = 'golden-secret' } } })
  of('login_answer_cookies', { login_answer = { login = 'abc', answer = { cookies = { { 'auth_token', 'golden-secret' } } } } })
  same(vim.json.decode(message.cancel(9)), fake.golden('cancel'))
  -- an empty list stays a list, and what is absent is null
  local line = message.request(1, { login = { scopes = {}, region = vim.NIL } })
  holds(line, '"scopes":[]')
  holds(line, '"region":null')
end)

test('null is nil, and what a later daemon says breaks nothing', function()
  local said = message.decode('{"answer":{"id":1,"result":{"Ok":{"logged_in":{"expires_at":null,"runs":0}}}}}')
  same({ said.name, said.fields }, { 'logged_in', { runs = 0 } })
  same(message.decode('{"answer":{"id":1,"result":{"Ok":"done"}}}').name, 'done')
  same(message.decode('{"answer":{"id":1,"result":{"Err":{"code":"of_later","message":"m","causes":["c"],"hint":null}}}}').failure, {
    code = 'of_later',
    message = 'm',
    causes = { 'c' },
  })
  same(message.decode('{"answer":{"id":1,"result":{}}}').failure.code, 'unknown')
  same(message.decode('{"answer":{"id":1,"result":{"Err":{"message":7,"causes":"x"}}}}').failure.causes, {})
  for _, bad in ipairs({ '', '{', '[]', '1', 'null', '"answer"', '{"answer":1}', '{"answer":{"id":"1"}}', '{"other":{"id":1}}', ('['):rep(100000) }) do
    same((message.decode(bad)), nil, bad:sub(1, 40))
  end
end)

test('bytes that are no UTF-8 are not sent, and not told', function()
  for _, good in ipairs({ '', 'abc', 'ä€😀', '\0\127' }) do
    same(message.is_utf8(good), true, good)
  end
  for _, bad in ipairs({ '\128', '\192\128', '\195', '\195(', '\224\128\128', '\237\160\128', '\244\144\128\128', '\245\128\128\128', 'a\255' }) do
    same(message.is_utf8(bad), false)
  end
  local payload, why = message.request(1, { unlock = { passphrase = 'secret\255' } })
  same(payload, nil)
  lacks(why, 'secret')
end)

test('texts of others cannot move the cursor, end a line, or turn it around (L13)', function()
  same(text.printable('a\27[2J\nb\rc\0d'), 'a�[2J�b�c�d')
  same(text.printable('x\194\155y\226\128\174z\226\129\166'), 'x�y�z�')
  same(text.printable('Grüße – 日本'), 'Grüße – 日本')
  same(text.printable(nil), '')
  assert(#text.printable(('ä'):rep(100000)) < 3000)
  assert(message.is_utf8(text.printable('a' .. ('ä'):rep(100000))), 'a character was cut in two')
end)

test('a percent sign in a statusline runs nothing', function()
  local evil = { up = true, connections = { { provider = "%{execute('q')}", connection = 'x', state = 'expired' } }, runs = 0 }
  local words = text.statusline(state.summary(evil))
  same(words:gsub('%%%%', ''):find('%%'), nil)
  same(vim.api.nvim_eval_statusline(words, {}).str, "authsome 1, %{execute('q')} (x) expired")
end)

test('the statusline says what needs a person', function()
  local of = function(more)
    return state.summary(vim.tbl_extend('force', { up = true, connections = {}, runs = 0 }, more))
  end
  same(of({}), 'authsome 0')
  same(of({ runs = 2 }), 'authsome 0, 2 runs')
  local good = { provider = 'a', connection = 'default', is_default = true, state = 'connected' }
  local ill = { provider = 'github', connection = 'default', is_default = true, state = 'needs_login' }
  local other = { provider = 'github', connection = 'team', is_default = false, state = 'expired' }
  same(of({ connections = { good, ill } }), 'authsome 2, github needs login')
  same(of({ connections = { other, ill } }), 'authsome 2, github (team) expired +1')
  same(of({ up = false }), 'authsome …')
  same(of({ up = false, problem = { code = 'lost' } }), 'authsome off')
  same(of({ up = false, problem = { code = 'version' } }), 'authsome other version')
end)

test('pauses grow and end at half a minute', function()
  same({ state.pause(0), state.pause(1), state.pause(6), state.pause(7), state.pause(1000) }, { 250, 500, 16000, 30000, 30000 })
end)

test('times are read and said', function()
  same(text.seconds('1970-01-01T00:00:00Z'), 0)
  same(text.seconds('2000-02-29T12:00:01.5Z'), 951825601)
  same(text.seconds('2026-11-21T18:00:00Z'), 1795284000)
  same(text.seconds('2100-03-01T00:00:00Z'), 4107542400)
  same(text.seconds('soon'), nil)
  local now = text.seconds('2026-11-21T18:00:00Z')
  same(text.when('2026-11-21T18:00:01Z', now), 'just now')
  same(text.when('2026-11-21T17:58:00Z', now), '2 min ago')
  same(text.when('2026-11-21T19:30:00Z', now), 'in 1 h 30 min')
  same(text.when('2026-11-23T18:00:00Z', now), 'in 2 days')
  same(text.when('a\27b', now), 'a�b')
  same({ text.clock(582), text.clock(-3), text.clock(9.7) }, { '9:42', '0:00', '0:09' })
end)

test('a failure says what, why and the way out', function()
  same(text.failure({ code = 'x', message = 'm\n', causes = { 'c' }, hint = 'h' }), { 'm�', '  caused by: c', 'hint: h' })
  holds(table.concat(text.failure({ code = 'passphrase_needed', message = 'm' })), ':Authsome unlock')
end)

test('a record of the audit log is one line whatever it holds', function()
  same(
    text.record('{"time":"soon","event":"inject","run":"r1","program":"curl","provider":"intercom","connection":"default","method":"GET","host":"api.intercom.io","path":"/me","status":200}'),
    'soon                 inject      intercom (default)  GET api.intercom.io/me  200  by curl in r1'
  )
  same(text.record('torn {'), 'torn {')
  same(text.record('{"event":"a\\u001b[2J","host":{"x":1}}'), '                     a�[2J')
  same(panel.plain({ log.line('{"time":"soon","event":"refuse","code":"c"}') }), { 'soon                 refuse      c' })
end)

test('only addresses of the web are opened', function()
  for _, good in ipairs({ 'http://127.0.0.1:7998/login/x', 'https://a.example/?q=1&b=%20#f', 'https://[::1]/' }) do
    same(browse.is_web(good), true, good)
  end
  for _, bad in ipairs({
    'file:///etc/passwd',
    'javascript:alert(1)',
    'vscode://x',
    '-https://x',
    ' https://x',
    'https://',
    'https:///x',
    'https://a b',
    'https://a\nb',
    'https://a"b',
    "https://a'b",
    'https://a`b`',
    'https://a\\b',
    'https://-x',
    'httpsx://a',
    vim.NIL,
    7,
  }) do
    same(browse.is_web(bad), false, tostring(bad))
  end
end)

test("the daemon's words at its start are understood", function()
  same(start.judge('ready\n', 'd'), true)
  same(start.judge('warning: x\nalready-running\n', 'd'), true)
  local _, told = start.judge('error: `/h/config.toml`, line 14: unknown key\n  caused by: x: y\nhint: mend it\n', 'd')
  same(told, { code = 'unreachable', message = '`/h/config.toml`, line 14: unknown key', causes = { 'x: y' }, hint = 'mend it' })
  _, told = start.judge('authsomed: error while loading libx.so\n', 'd')
  same({ told.message, told.causes }, { 'the daemon did not start', { 'authsomed: error while loading libx.so' } })
  _, told = start.judge('', '/x/authsomed')
  holds(told.message, '/x/authsomed')
end)

test('options of a run end at two dashes', function()
  same({ run.split('npm test -- --watch') }, { {}, 'npm test -- --watch' })
  same({ run.split('--only intercom --for 2h -- echo "a  b"') }, { { '--only', 'intercom', '--for', '2h' }, 'echo "a  b"' })
  same({ run.split('-- ls -l') }, { {}, 'ls -l' })
  same({ run.split('--only x') }, { { '--only', 'x' }, '' })
  same({ run.split('') }, { {}, '' })
end)

test('a login takes the options of the command line, and no secret', function()
  same({ command.login_words({ 'github', '--connection', 'team', '--force', '--scopes=a,b', '--flow', 'device-code', '--no-browser' }) }, {
    'github',
    { connection = 'team', force = true, scopes = { 'a', 'b' }, flow = 'device_code', browser = false },
  })
  same({ command.login_words({}) }, { '', {} })
  for _, bad in ipairs({ { 'a', 'b' }, { 'a', '--key' }, { 'a', '--client-secret=x' }, { 'a', '--flow' } }) do
    same((command.login_words(bad)), nil)
  end
end)

test('each step of a login says what to do', function()
  local of = function(step, more)
    local session = vim.tbl_extend('force', { name = 'GitHub', connection = 'default', key_urls = {}, until_at = 642, step = step }, more or {})
    return table.concat(panel.plain(steps.lines(session, 60)), '\n')
  end
  local form = of({ form = { url = 'http://127.0.0.1:7998/login/x', moved_from = 7998, asks = 'api_key' } })
  holds(form, 'open this page; it asks for the key')
  holds(form, 'port 7998 is taken')
  holds(form, '9:42 left')
  local authorize = { authorize = { url = 'https://github.com/x', redirect_uri = 'http://127.0.0.1:7998/callback/github', listens = true } }
  holds(of(authorize, { opened = true }), 'log in to GitHub in your browser')
  lacks(of(authorize, { opened = true }), 'callback')
  holds(of(authorize), 'http://127.0.0.1:7998/callback/github')
  holds(of(authorize, { opened = true, led_to = true }), 'the page leads on')
  local device = of({ device = { url = 'https://github.com/login/device', code = 'ABCD-EFGH' } })
  holds(device, 'A B C D - E F G H')
  holds(of({ enter = { asks = { client = { redirect_uri = 'http://127.0.0.1:1/c', secret_needed = true } } } }), 'http://127.0.0.1:1/c')
  holds(of('wait', { busy = 'exchanging' }), 'getting tokens')
  holds(of('wait', { rejected = 'no\27' }), 'not taken: no�')
  holds(of({ of_later = { url = 'https://x' } }), 'waiting')
end)

test('the list has a line for each connection', function()
  local now = text.seconds('2026-11-21T18:00:00Z')
  local one = { provider = 'github', connection = 'team', is_default = true, state = 'needs_login', variables = { 'A' } }
  local lines, at = view.connections({ one }, now)
  same(at, { [2] = one })
  holds(panel.plain(lines)[2], 'team *')
  holds(panel.plain(lines)[2], 'needs login')
  holds(panel.plain((view.connections({}, now)))[1], ':Authsome login')
  one.state, one.expires_at, one.last_used = 'connected', '2026-11-21T20:00:00Z', '2026-11-21T17:00:00Z'
  holds(panel.plain((view.connections({ one }, now)))[2], 'in 2 h')
  one.renews = true
  holds(panel.plain((view.connections({ one }, now)))[2], 'renews')
end)

test('golden answers are shown', function()
  local fake = require('fake')
  local of = function(name)
    local raw = vim.json.encode(fake.golden('answer_' .. name))
    return message.decode(raw).fields
  end
  holds(table.concat(panel.plain(view.status(of('status'), of('runs'), 0)), '\n'), 'intercom=team')
  holds(table.concat(panel.plain(view.explained(of('explained'))), '\n'), 'deny POST /contacts/**')
  holds(text.logged_in(of('logged_in'), 0), 'connected: intercom (team); stored in the keyring; renews itself')
end)

test('the help has tags, every link in it leads somewhere, and every command is in it', function()
  -- a copy: `:helptags` writes beside the file
  local folder = vim.fn.tempname()
  vim.fn.mkdir(folder .. '/doc', 'p')
  local from = vim.fn.fnamemodify(debug.getinfo(1, 'S').source:sub(2), ':p:h:h') .. '/doc/authsome.txt'
  local lines = vim.fn.readfile(from)
  vim.fn.writefile(lines, folder .. '/doc/authsome.txt')
  vim.cmd('helptags ' .. folder .. '/doc')
  vim.opt.runtimepath:append(folder)
  local links = 0
  for _, line in ipairs(lines) do
    for tag in line:gmatch('|([^|%s]+)|') do
      links = links + 1
      same(vim.tbl_contains(vim.fn.getcompletion(tag, 'help'), tag), true, tag)
    end
    assert(vim.fn.strdisplaywidth(line) <= 80, line)
  end
  assert(links > 10)
  for _, name in ipairs(command.complete({}, '', 'Authsome ')) do
    same(vim.tbl_contains(vim.fn.getcompletion(':Authsome-' .. name, 'help'), ':Authsome-' .. name), true, name)
  end
  vim.opt.runtimepath:remove(folder)
  vim.fn.delete(folder, 'rf')
end)

test('a setup that is mistaken is an error that names it', function()
  local config = require('authsome.config')
  local of = function(options)
    local _, why = pcall(config.set, options)
    return why
  end
  holds(of({ paht = 'x' }), 'no option `paht`')
  holds(of({ home = 7 }), '`home` of setup must be a string')
  config.set({ path = '/nonexistent/authsome', home = '~/x' })
  same(config.env().AUTHSOME_HOME, vim.fn.expand('~/x'))
  local program, failure = config.authsome()
  same(program, nil)
  holds(failure.message, '/nonexistent/authsome')
  config.set({})
end)

test('a request that nobody answers is called back once, and so is one that is given up', function()
  local fake = require('fake').start({})
  local asked = client_of(fake)
  local calls = {}
  asked:request('status', function(failure)
    calls[#calls + 1] = failure.code
  end, { deadline = 50 })
  local handle = asked:request('status', function(failure)
    calls[#calls + 1] = failure.code
  end)
  handle.cancel()
  expect.soon('both', function()
    return #calls == 2
  end)
  vim.wait(100)
  table.sort(calls)
  same(calls, { 'cancelled', 'timed_out' })
  asked:close()
  fake.stop()
end)

test('ids are never used twice on a connection', function()
  local fake = require('fake').start({
    status = function(reply)
      reply.answer('done')
    end,
  })
  local asked = client_of(fake)
  local was, codes = client.IDS_MAX, {}
  client.IDS_MAX = 3
  for i = 1, 5 do
    local done
    asked:request('status', function(failure)
      codes[i], done = failure and failure.code or 'ok', true
    end)
    expect.soon('an answer', function()
      return done
    end)
  end
  client.IDS_MAX = was
  same(codes, { 'ok', 'ok', 'ok', 'lost', 'ok' })
  asked:close()
  fake.stop()
end)

test('something else on the socket is told, and a greeting of another version too', function()
  local of = function(answer)
    local fake = require('fake').start({}, { hello = answer })
    local asked = client_of(fake)
    local failure
    asked:request('status', function(problem)
      failure = problem
    end)
    expect.soon('a failure', function()
      return failure
    end)
    fake.stop()
    return table.concat(text.failure(failure), '\n')
  end
  holds(of('220 mail ready\r\n'), 'over the limit')
  holds(of(frame.encode('something else, long enough')), 'not an authsome daemon')
  holds(of(frame.encode('AUTHSOME\0\2\0\4\0\0059.9.9')), 'the daemon speaks 2 to 4')
  holds(of(frame.encode('AUTHSOME\0\1\0\1\0\0059.9.9')), 'does not speak JSON')
end)

test('garbage behind the greeting is not for us, and too large a frame ends the connection', function()
  local ways = {
    function(reply)
      reply.raw(frame.encode('no json') .. frame.encode('{"event":{"id":77,"event":"x"}}'))
      reply.answer('done')
    end,
    function(reply)
      reply.raw(bytes('7f ff ff ff'))
    end,
  }
  for i, way in ipairs(ways) do
    local fake = require('fake').start({ status = way })
    local asked = client_of(fake)
    local outcome
    asked:request('status', function(failure, name)
      outcome = failure and failure.code or name
    end)
    expect.soon('an outcome', function()
      return outcome
    end)
    same(outcome, i == 1 and 'done' or 'lost')
    asked:close()
    fake.stop()
  end
end)

return tests
