-- The plugin with the real daemon, in a home that the caller made: `AUTHSOME_HOME`, `HOME`,
-- `XDG_RUNTIME_DIR` and `PATH` are of a test, `api.intercom.io` leads to a stand-in.
--
-- `AUTHSOME_TEST_WORK` is a folder for our own files, with the key in its file `key`. The caller looks
-- for that key afterwards, everywhere but in that folder, and asks the stand-in what it saw.

local Child = require('child')
local expect = require('expect')

local uv = vim.uv or vim.loop
local same, holds, lacks, soon = expect.same, expect.holds, expect.lacks, expect.soon

local work = assert(os.getenv('AUTHSOME_TEST_WORK'), 'AUTHSOME_TEST_WORK is not set')

local function read(name)
  return table.concat(vim.fn.readfile(work .. '/' .. name), '\n')
end

-- A Neovim as a person has it, with a file for its memory; `browser` says whether pages can be opened.
local function person(browser)
  local bin = work .. '/bin'
  vim.fn.mkdir(bin, 'p', 448)
  vim.fn.writefile({ '#!/bin/sh', ('printf "%%s\\n" "$@" >>%s/opened'):format(work) }, bin .. '/xdg-open')
  vim.fn.setfperm(bin .. '/xdg-open', 'rwx------')
  local shada = os.getenv('HOME') .. '/main.shada'
  local child = Child.start({ PATH = bin .. ':' .. os.getenv('PATH'), DISPLAY = browser and ':9' or '' }, shada)
  child.shada = shada
  return child
end

-- Nothing that was typed or pasted rests anywhere, and the memory that is written was really written.
local function leave(child)
  local key = read('key')
  for _, part in ipairs({ key, key:sub(1, 16) }) do
    lacks(child:memory(), part)
  end
  child:quit()
  local kept = table.concat(vim.fn.readfile(child.shada, 'b'), '\n')
  holds(kept, 'uthsome')
  lacks(kept, key:sub(1, 16))
end

local function curl(words)
  local out = vim.fn.system(vim.list_extend({ 'curl', '-sS', '--max-time', '20' }, words))
  same(vim.v.shell_error, 0, out)
  return out
end

local function daemon_pid()
  local note = io.open(os.getenv('AUTHSOME_HOME') .. '/daemon.lock')
  local pid = note and note:read('*a'):match('^pid (%d+)')
  if note then
    note:close()
  end
  return tonumber(pid)
end

local tests = {}
local function test(name, body)
  tests[#tests + 1] = { name, body }
end

test('login by form', function()
  local child = person(true)
  same(daemon_pid(), nil, 'there is a daemon already')
  child:enter(':Authsome login intercom')
  child:shows('a page in your browser asks for the key')
  local url = soon('the browser', function()
    return vim.fn.filereadable(work .. '/opened') == 1 and vim.trim(read('opened'))
  end)
  holds(url, 'http://127.0.0.1:')
  child:shows('waiting for the form')
  -- the time left is told once a second: it is seen to run
  local left = child:everything():match('(%d:%d%d) left')
  soon('the time to go on', function()
    return child:everything():match('(%d:%d%d) left') ~= left
  end)
  local page = curl({ url })
  local token, value = page:match('<input type="hidden" name="([^"]+)" value="([^"]+)"')
  local field = page:match('class="field" id="[^"]+" name="([^"]+)"')
  assert(token and field, page)
  -- as a browser does; the key comes from a file, not from an argument
  curl({
    '-o', '/dev/null',
    '-H', 'Origin: ' .. url:match('^http://[^/]+'),
    '--data-urlencode', token .. '=' .. value,
    '--data-urlencode', field .. '@' .. work .. '/key',
    url,
  })
  child:shows('connected: intercom (default); stored in encrypted files; programs see INTERCOM_API_KEY')
  child:hides('Log in to')
  child:enter(':Authsome list')
  local list = child:shows('INTERCOM_API_KEY')
  holds(list, 'default *')
  soon('the statusline', function()
    return child:statusline() == 'authsome 1'
  end)
  leave(child)
end)

test('login by keys', function()
  local child = person(false)
  child:enter(':Authsome login intercom')
  child:asked()
  child:type('no such key at all<C-u>')
  child:enter(read('key'))
  child:shows('connected: intercom (default)')
  child:enter(':Authsome list')
  child:shows('INTERCOM_API_KEY')
  -- it is there, and is not overwritten unasked
  child:enter(':Authsome login intercom')
  child:told('--force')
  leave(child)
end)

test('log out', function()
  local child = person(false)
  child:enter(':Authsome list')
  child:shows('INTERCOM_API_KEY')
  child:type('x')
  child:asked_for_key()
  child:type('y')
  child:told('logged out: intercom (default)')
  child:shows('no connections yet')
  soon('the statusline', function()
    return child:statusline() == 'authsome 0'
  end)
  leave(child)
end)

test('run', function()
  local child = person(false)
  child:enter(':Authsome log')
  child:shows('login')
  child:enter(':Authsome run curl -sS https://api.intercom.io/echo?by=run >/dev/null && echo "held:$INTERCOM_API_KEY:"')
  child:shows('held:authsome-proxy-managed:')
  child:type('<C-\\><C-n>')
  -- the log follows, with what the daemon did for the program
  child:shows('inject')
  child:shows('GET api.intercom.io/echo')
  child:type(':Authsome terminal --only intercom<CR>')
  soon('the run in the statusline', function()
    return child:statusline() == 'authsome 1, 1 run'
  end)
  child:type('echo "in:$INTERCOM_API_KEY:"; curl -sS https://api.intercom.io/me?by=terminal >/dev/null && echo fetch""ed<CR>')
  child:shows('in:authsome-proxy-managed:')
  child:shows('fetched')
  child:type('exit<CR>')
  soon('the end of the run in the statusline', function()
    return child:statusline() == 'authsome 1'
  end)
  child:type('<C-\\><C-n>')
  child:enter(':Authsome explain POST https://api.intercom.io/contacts')
  child:shows('the credential is put in')
  child:enter(':Authsome status')
  child:shows('0 living')
  leave(child)
end)

test('the daemon is killed', function()
  local child = person(false)
  child:enter(':Authsome log')
  child:shows('login')
  child:enter(':Authsome terminal')
  soon('the run in the statusline', function()
    return child:statusline() == 'authsome 1, 1 run'
  end)
  local pid = daemon_pid()
  uv.kill(pid, 'sigkill')
  -- nobody asks for anything: the plugin sees that it was killed, and starts it again
  soon('another daemon', function()
    local now = daemon_pid()
    return now and now ~= pid
  end)
  child:shows('the connection to the daemon was lost')
  soon('the statusline', function()
    return child:statusline() == 'authsome 1, 1 run'
  end)
  -- the program that was running goes on, and the log shows it
  child:type('curl -sS https://api.intercom.io/me?by=again >/dev/null && echo fetch""ed<CR>')
  child:shows('fetched')
  child:shows('GET api.intercom.io/me')
  local _, logins = child:everything():gsub('login       intercom', '')
  same(logins, 1, 'a record came twice')
  child:type('exit<CR>')
  leave(child)
end)

test('a daemon that was stopped stays stopped', function()
  local child = person(false)
  child:enter(':Authsome list')
  child:shows('INTERCOM_API_KEY')
  vim.fn.system({ 'authsome', 'daemon', 'stop' })
  same(vim.v.shell_error, 0)
  soon('the statusline', function()
    return child:statusline() == 'authsome off'
  end)
  vim.wait(1500)
  same(daemon_pid(), nil, 'it was started again')
  child:type('q')
  child:enter(':Authsome status')
  child:shows('1')
  assert(soon('a daemon for who asks', daemon_pid))
  leave(child)
end)

test('health', function()
  local child = person(false)
  child:enter(':checkhealth authsome')
  local words = child:shows('audit:')
  holds(words, 'the kernel is asked whose process listens')
  lacks(words, 'ERROR')
  leave(child)
end)

return tests
