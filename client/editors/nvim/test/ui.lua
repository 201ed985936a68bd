-- The plugin in a Neovim of its own, against a daemon in miniature that can be made to do anything.

local Child = require('child')
local Fake = require('fake')
local expect = require('expect')

local same, holds, lacks, soon = expect.same, expect.holds, expect.lacks, expect.soon

local SECRET = 'c4n4ry<Esc>+/=w1th-5igns'

local tests = {}

local function connection(more)
  return vim.tbl_extend('force', {
    provider = 'github',
    display_name = 'GitHub',
    connection = 'default',
    is_default = true,
    auth = 'oauth2',
    state = 'connected',
    source = 'bundled',
    created_at = '2026-11-21T18:00:00Z',
    rotated_at = vim.NIL,
    last_used = vim.NIL,
    expires_at = vim.NIL,
    hosts = { 'api.github.com' },
    unconfirmed_hosts = {},
    variables = { 'GITHUB_TOKEN' },
    slot = 'Authorization: Bearer',
    region = vim.NIL,
    renews = true,
    scopes = {},
    flow = vim.NIL,
    base_url = vim.NIL,
  }, more or {})
end

local function logged_in()
  return {
    logged_in = {
      provider = 'github',
      display_name = 'GitHub',
      connection = 'default',
      is_default = true,
      replaced = false,
      variables = { 'GITHUB_TOKEN' },
      store = 'keyring',
      runs = 0,
      expires_at = vim.NIL,
      renews = true,
      scopes = {},
    },
  }
end

local function begun(step)
  return {
    login_started = {
      login = 'k3',
      display_name = 'GitHub',
      connection = 'default',
      step = step,
      hint = vim.NIL,
      key_urls = { 'https://github.com/settings' },
      seconds_left = 600,
    },
  }
end

local function stage(one)
  return { login_progress = { login = 'k3', stage = one } }
end

local function refused(code, words)
  return { code = code, message = words or code, causes = {}, hint = vim.NIL }
end

-- A folder with a program that stands for the browser: it writes its arguments down.
local function browser()
  local folder = vim.fn.tempname()
  vim.fn.mkdir(folder, 'p', 448)
  for _, name in ipairs({ 'xdg-open', 'open' }) do
    vim.fn.writefile({ '#!/bin/sh', ('printf "%%s\\n" "$#" "$@" >>%s/opened'):format(folder) }, folder .. '/' .. name)
    vim.fn.setfperm(folder .. '/' .. name, 'rwx------')
  end
  return folder, function()
    return vim.fn.filereadable(folder .. '/opened') == 1 and vim.fn.readfile(folder .. '/opened') or nil
  end
end

-- A test with a daemon that answers as `handlers` say, a Neovim and a browser; at the end the requests
-- were as the protocol has them, and nothing of the secret is left.
local function test(name, handlers, body)
  tests[#tests + 1] = {
    name,
    function()
      local held = {}
      local base = {
        subscribe = function(reply)
          held.subscribe = reply
        end,
        connections = function(reply)
          reply.answer({ connections = held.connections or { connection() } })
        end,
        runs = function(reply)
          reply.answer({ runs = {} })
        end,
        login_wait = function(reply)
          held.wait = reply
        end,
        login_cancel = function(reply)
          reply.answer('done')
        end,
      }
      local fake = Fake.start(vim.tbl_extend('force', base, handlers(held)))
      local folder, opened = browser()
      local state = vim.fn.tempname()
      vim.fn.mkdir(state, 'p', 448)
      local child = Child.start({
        AUTHSOME_HOME = fake.home,
        AUTHSOME_RUN = '',
        HOME = state,
        XDG_STATE_HOME = state .. '/state',
        XDG_DATA_HOME = state .. '/data',
        SSH_CONNECTION = '',
        SSH_TTY = '',
        DISPLAY = ':9',
        PATH = folder .. ':' .. os.getenv('PATH'),
      }, state .. '/main.shada')
      local good, why = xpcall(body, debug.traceback, child, fake, held, opened)
      if good then
        lacks(child:memory(), 'c4n4ry')
        lacks(child:memory(), '5igns')
      end
      child:quit()
      if good then
        local kept = table.concat(vim.fn.readfile(state .. '/main.shada', 'b'), '\n')
        holds(kept, 'Authsome')
        lacks(kept, 'c4n4ry')
        lacks(kept, '5igns')
      end
      fake.stop()
      vim.fn.delete(state, 'rf')
      vim.fn.delete(folder, 'rf')
      if not good then
        error(why, 0)
      end
    end,
  }
end

test('a form leads on to the authorization server, and each page is opened once', function()
  return {
    login = function(reply)
      reply.answer(begun({ form = { url = 'http://127.0.0.1:7998/login/x', moved_from = vim.NIL, asks = 'api_key' } }))
    end,
  }
end, function(child, fake, held, opened)
  child:enter(':Authsome login github')
  child:shows('a page in your browser asks for the key')
  same(fake.said('login').via, 'form')
  soon('the browser', opened)
  soon('the wait', function()
    return held.wait
  end)
  local form = { form = { url = 'http://127.0.0.1:7998/login/x', moved_from = vim.NIL, asks = 'api_key' } }
  held.wait.event(stage({ step = form }))
  held.wait.event(stage({ waiting = { seconds_left = 321 } }))
  child:shows('5:2')
  local away = { authorize = { url = 'https://github.com/login', redirect_uri = 'http://127.0.0.1:7998/callback', listens = true } }
  held.wait.event(stage({ step = away }))
  child:shows('the page leads on to GitHub')
  held.wait.event(stage({ rejected = { reason = 'no good\27[2J' } }))
  child:shows('not taken: no good�[2J')
  held.wait.event(stage('exchanging'))
  child:shows('getting tokens')
  lacks(child:everything(), 'not taken')
  held.wait.event(stage('storing'))
  child:shows('storing')
  held.wait.answer(logged_in())
  child:shows('connected: github (default); stored in the keyring')
  same(opened(), { '1', 'http://127.0.0.1:7998/login/x' })
  child:hides('Log in to GitHub')
  same(fake.said('login_cancel'), nil)
end)

test('q gives a login up at the daemon', function()
  return {
    login = function(reply)
      reply.answer(begun({ form = { url = 'http://127.0.0.1:7998/login/x', moved_from = vim.NIL, asks = 'api_key' } }))
    end,
  }
end, function(child, fake)
  child:enter(':Authsome login github')
  child:shows('Log in to GitHub')
  child:type('q')
  child:told('the login was given up')
  same(fake.said('login_cancel'), { login = 'k3' })
  assert(fake.said('cancel'), 'the wait goes on')
  lacks(child:everything(), 'Log in to')
end)

test('a device code is shown large and copied, and only pages of the web are opened', function()
  return {
    login = function(reply)
      reply.answer(begun({ device = { url = 'https://github.com/login/device', url_with_code = 'file:///etc/passwd', code = 'ABCD-EFGH' } }))
    end,
  }
end, function(child, fake, held, opened)
  child:enter(':Authsome login github --flow device-code')
  child:shows('A B C D - E F G H')
  same(fake.said('login').flow, 'device_code')
  child:told('not one of the web')
  same(child:lua([[return vim.fn.getreg('"')]]), 'ABCD-EFGH')
  soon('the wait', function()
    return held.wait
  end)
  held.wait.answer(logged_in())
  child:shows('connected')
  same(opened(), nil)
end)

test('what is entered goes to the daemon and stays nowhere', function()
  local tries = 0
  return {
    login = function(reply)
      reply.answer(begun({ enter = { asks = 'api_key' } }))
    end,
    login_answer = function(reply)
      tries = tries + 1
      if tries == 1 then
        return reply.fail(refused('invalid_secret', 'that does not look like a key'))
      end
      reply.answer(logged_in())
    end,
  }
end, function(child, fake)
  child:enter(':Authsome login github --no-browser')
  child:asked()
  child:enter('wrong')
  child:shows('not taken: that does not look like a key')
  child:asked()
  child:enter(SECRET)
  child:shows('connected')
  same(fake.said('login').via, 'submit')
  same(fake.requests[#fake.requests].fields.answer, { secret = SECRET })
end)

test('an empty answer gives the login up', function()
  return {
    login = function(reply)
      reply.answer(begun({ enter = { asks = 'api_key' } }))
    end,
  }
end, function(child, fake)
  child:enter(':Authsome login github --no-browser')
  child:asked()
  child:type('<Esc>')
  child:told('the login was given up')
  assert(fake.said('login_cancel'))
end)

test('while a macro is recorded nothing secret is asked', function()
  return {
    login = function(reply)
      reply.answer(begun({ enter = { asks = 'api_key' } }))
    end,
  }
end, function(child, fake)
  child:type('qa')
  child:enter(':Authsome login github --no-browser')
  child:told('a macro is being recorded')
  soon('the end', function()
    return fake.said('login_cancel')
  end)
  child:type('q')
end)

test('client, cookies and a key file are asked for, each in its way', function(held)
  return {
    login = function(reply)
      reply.answer(begun({ enter = { asks = { client = { redirect_uri = 'http://127.0.0.1:7998/callback', id = vim.NIL, secret_needed = true } } } }))
    end,
    login_answer = function(reply, fields)
      held.answers = held.answers or {}
      table.insert(held.answers, fields.answer)
      if #held.answers == 1 then
        reply.answer(begun({ enter = { asks = { cookies = { entry_url = 'https://x.example/', names = { 'a', 'b', 'c' }, needed = 1 } } } }))
      elseif #held.answers == 2 then
        reply.answer(begun({ enter = { asks = 'service_account' } }))
      else
        reply.answer(logged_in())
      end
    end,
  }
end, function(child, _, held)
  child:enter(':Authsome login github')
  child:asked()
  holds(child:everything(), 'http://127.0.0.1:7998/callback')
  child:enter('Iv1.client')
  child:asked()
  child:enter(SECRET)
  child:shows('https://x.example/')
  child:asked()
  child:enter(SECRET)
  child:asked()
  child:enter('')
  child:asked()
  child:enter(SECRET)
  child:shows('key file for GitHub is asked for')
  child:asked()
  local path = vim.fn.tempname()
  vim.fn.writefile({ '{"private_key":"' .. SECRET .. '"}' }, path)
  child:enter(path)
  child:shows('connected')
  same(held.answers, {
    { client = { id = 'Iv1.client', secret = SECRET } },
    { cookies = { { 'a', SECRET }, { 'c', SECRET } } },
    { secret = '{"private_key":"' .. SECRET .. '"}\n' },
  })
  lacks(child:memory(), 'Iv1.client')
  os.remove(path)
end)

test('the address of a browser elsewhere is pasted, and a wrong one is told', function()
  local tries = 0
  return {
    login = function(reply)
      reply.answer(begun({ authorize = { url = 'https://github.com/login', redirect_uri = 'http://127.0.0.1:7998/callback', listens = false } }))
    end,
    login_answer = function(reply)
      tries = tries + 1
      reply.fail(refused('invalid_secret', 'that is not the address: try ' .. tries))
    end,
  }
end, function(child, fake, held, opened)
  child:enter(':Authsome login github')
  child:shows('paste the address')
  same(soon('the browser', opened), { '1', 'https://github.com/login' })
  child:type('p')
  child:asked()
  child:enter('http://127.0.0.1:7998/callback?code=' .. SECRET)
  child:shows('not taken: that is not the address: try 1')
  same(fake.requests[#fake.requests].fields.answer, { redirect = 'http://127.0.0.1:7998/callback?code=' .. SECRET })
  held.wait.fail(refused('login_refused', 'the server said no'))
  child:shows('the server said no')
  child:type('q')
  child:hides('Log in to')
  same(fake.said('login_cancel'), nil)
end)

test('without a provider one is chosen from a list', function()
  local provider = function(name, more)
    return vim.tbl_extend('force', {
      provider = name,
      display_name = name:upper() .. "\27 | execute 'q'",
      auth = 'api_key',
      source = 'bundled',
      not_yet = vim.NIL,
      hosts = {},
      variables = {},
      key_pattern = vim.NIL,
      key_hint = vim.NIL,
      key_urls = {},
      connections = 0,
      regions = {},
      flows = {},
      redirect_uri = vim.NIL,
    }, more or {})
  end
  return {
    providers = function(reply)
      reply.answer({ providers = { providers = { provider('alpha', { not_yet = 'later' }), provider('beta'), provider('gamma', { connections = 2 }) }, problems = {} } })
    end,
    login = function(reply)
      reply.fail(refused('not_available_yet', 'not today'))
    end,
  }
end, function(child, fake)
  -- as plugins do that show choices in their own way
  child:lua([[
    vim.ui.select = function(items, options, choose)
      _G.offered = vim.tbl_map(options.format_item, items)
      choose(items[2])
    end
  ]])
  child:enter(':Authsome login')
  child:told('not today')
  same(fake.said('login').provider, 'gamma')
  same(child:lua('return _G.offered'), { "BETA� | execute 'q' (beta)", "GAMMA� | execute 'q' (gamma), connected" })
  same(child:lua([[return vim.fn.getcompletion('Authsome login b', 'cmdline')]]), { 'beta' })
  same(child:lua([[return vim.fn.getcompletion('Authsome l', 'cmdline')]]), { 'list', 'log', 'login' })
end)

test('the list follows the daemon, and its keys act on a line', function(held)
  held.connections = { connection(), connection({ connection = 'team', is_default = false, state = 'needs_login' }) }
  return {
    login = function(reply)
      reply.fail(refused('bad_request', 'enough seen'))
    end,
    logout = function(reply)
      reply.answer({
        forgotten = {
          provider = 'github',
          connections = { 'team' },
          new_default = vim.NIL,
          left = { 'default' },
          default_changed = false,
          definition_removed = vim.NIL,
          revocations = {},
        },
      })
    end,
    set_default = function(reply)
      reply.answer('done')
    end,
  }
end, function(child, fake, held)
  child:enter(':Authsome list')
  child:shows('team')
  same(child:statusline(), 'authsome 2, github (team) needs login')
  child:type('j')
  child:type('d')
  child:told('team is the default of github now')
  same(fake.said('set_default'), { provider = 'github', connection = 'team' })
  child:type('l')
  child:told('enough seen')
  same({ fake.said('login').force, fake.said('login').connection }, { true, 'team' })
  child:type('x')
  child:asked_for_key()
  child:type('n')
  child:type('x')
  child:asked_for_key()
  same(fake.said('logout'), nil, 'No was the answer')
  child:type('y')
  child:told('logged out: github (team)')
  same(fake.said('logout'), { provider = 'github', connection = 'team' })
  held.connections = { connection() }
  held.subscribe.event({ connection_changed = { provider = 'github', connection = 'team' } })
  child:hides('team')
  soon('the statusline', function()
    return child:statusline() == 'authsome 1'
  end)
  child:type('q')
  child:hides('PROVIDER')
end)

test('a connection that is lost is made anew, and nothing is started for one that was stopped in order', function(held)
  return {
    log_follow = function(reply)
      held.follows = (held.follows or 0) + 1
      for i = 1, held.follows + 1 do
        reply.event({ audit = { line = ('{"time":"2026-11-21T18:00:0%dZ","event":"start","mac":"%d"}'):format(i, i) } })
      end
      held.log = reply
    end,
  }
end, function(child, fake, held)
  child:enter(':Authsome log')
  child:shows('18:00:02')
  soon('the statusline', function()
    return child:statusline() == 'authsome 1'
  end)
  fake.die()
  -- stopped in order: the note is empty
  vim.fn.writefile({}, fake.home .. '/daemon.lock')
  soon('the statusline', function()
    return child:statusline() == 'authsome off'
  end)
  child:shows('the connection to the daemon was lost')
  vim.fn.writefile({ 'pid 1', 'socket ' .. fake.socket }, fake.home .. '/daemon.lock')
  fake.listen()
  child:shows('18:00:03')
  soon('the statusline', function()
    return child:statusline() == 'authsome 1'
  end)
  local _, twice = child:everything():gsub('18:00:02', '')
  same(twice, 1, 'a record came twice')
  held.log.event({ missed = { count = 7 } })
  child:shows('7 records came too fast')
  child:enter(':bwipe')
  soon('the end of following', function()
    return fake.said('cancel')
  end)
end)

test('text of the daemon is data', function(held)
  held.connections = { connection({ provider = 'a', connection = 'x', variables = { 'vim: set ft=lua:', "%{execute('let g:hit=1')}" } }) }
  return {
    status = function(reply)
      reply.fail({
        code = 'internal',
        message = "\27]0;t\7 vim:set tw=7: | let g:hit = 1\nlet g:hit = 2",
        causes = { "<C-r>=execute('let g:hit=3')<CR>" },
        hint = "%{execute('let g:hit=4')}",
      })
    end,
  }
end, function(child)
  child:enter(':Authsome list')
  child:shows('vim: set ft=lua:')
  child:enter(':edit')
  child:enter(':redrawstatus!')
  child:enter(':Authsome status')
  child:told('let g:hit = 1�let g:hit = 2')
  lacks(child:messages(), '\27')
  same(child:lua([[return { vim.g.hit == nil, vim.bo.filetype }]]), { true, 'authsome' })
end)

return tests
