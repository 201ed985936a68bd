-- Logging in: walks the steps of a login with a person, in a small floating window.
--
-- 1. `login` is sent with `form` where a browser is here, else with `submit`: then we ask.
-- 2. The step that stands is shown. A page is opened, once; a step that the open page leads on to is
--    only shown. What is to be entered is asked for, hidden, and handed over.
-- 3. `login_wait` brings what follows until it is answered: done, or over.
-- 4. q, or closing the window, gives the login up at the daemon, so that its pages stop working.
--
-- A secret goes from the prompt into the request and nowhere else (`ask`).

local ask = require('authsome.ask')
local browse = require('authsome.browse')
local message = require('authsome.message')
local panel = require('authsome.panel')
local steps = require('authsome.steps')
local text = require('authsome.text')

local uv = vim.uv or vim.loop

local M = {}

-- Widest that the window gets; addresses are longer and wrap.
local WIDTH_MAX = 78

-- Largest key file, in bytes: the daemon takes no larger secret.
local FILE_MAX = 64 * 1024

-- How long a login that is done stays on the screen, in milliseconds.
local DONE_MS = 4000

local Session = {}
Session.__index = Session

-- Begins a login. `options`: connection, force, browser (nil: where there is one), flow, region,
-- scopes, base_url, client_id.
function M.begin(client, provider, options)
  options = options or {}
  local absent = function(value)
    if value == nil then
      return vim.NIL
    end
    return value
  end
  local browser = options.browser
  if browser == nil then
    browser = browse.possible()
  end
  local fields = {
    connection = absent(options.connection),
    force = options.force == true,
    via = browser and 'form' or 'submit',
    scopes = options.scopes or {},
    client_id = absent(options.client_id),
  }
  local request
  if provider:match('^https?://') then
    fields.url = provider
    request = { login_server = fields }
  else
    fields.provider = provider
    fields.region = absent(options.region)
    fields.flow = absent(options.flow)
    fields.base_url = absent(options.base_url)
    request = { login = fields }
  end
  client:request(request, function(failure, name, begun)
    if failure then
      return panel.fail(failure)
    elseif name ~= 'login_started' then
      return panel.say('the daemon began something else than a login', vim.log.levels.ERROR)
    end
    local session = setmetatable({
      client = client,
      browser = browser,
      login = begun.login,
      name = text.printable(begun.display_name),
      connection = begun.connection,
      hint = begun.hint,
      key_urls = begun.key_urls or {},
      until_at = os.time() + begun.seconds_left,
    }, Session)
    session:open()
    session:act(begun.step)
  end)
end

function Session:open()
  self.buffer = panel.buffer(nil, 'authsome')
  self.before = vim.api.nvim_get_current_win()
  self:draw()
  self.window = panel.float(self.buffer, WIDTH_MAX)
  local key = function(...)
    panel.key(self.buffer, ...)
  end
  key('q', 'cancel the login', function()
    panel.close(self.buffer)
  end)
  key('o', 'open the page', function()
    local page = steps.page(self.step)
    if page then
      self:open_page(page)
      self:draw()
    end
  end)
  key('y', 'copy its address', function()
    local page = steps.page(self.step)
    if page then
      M.yank(page)
      panel.say('copied')
    end
  end)
  key('p', 'paste the address that the browser ended at', function()
    self:paste()
  end)
  vim.api.nvim_create_autocmd('BufWipeout', {
    buffer = self.buffer,
    once = true,
    callback = function()
      self:give_up()
    end,
  })
  self.timer = uv.new_timer()
  self.timer:start(
    1000,
    1000,
    vim.schedule_wrap(function()
      self:draw()
    end)
  )
end

-- Puts a text where `p` and other programs find it.
function M.yank(words)
  vim.fn.setreg('"', words)
  if vim.fn.has('clipboard') == 1 then
    pcall(vim.fn.setreg, '+', words)
  end
end

function Session:draw()
  if not vim.api.nvim_buf_is_valid(self.buffer) then
    return
  end
  panel.put(self.buffer, 0, -1, steps.lines(self, os.time()))
  if self.window then
    panel.fit(self.window, self.buffer, WIDTH_MAX)
    vim.cmd('redraw')
  end
end

function Session:open_page(page)
  local opened, why = browse.open(page)
  self.opened = opened
  if not opened then
    panel.say(why, vim.log.levels.WARN)
  end
end

local function kind_of(step)
  return (message.variant(step))
end

-- Does what a step wants of us.
function Session:act(step)
  local kind, fields = message.variant(step)
  local before = kind_of(self.step)
  self.step, self.busy, self.rejected = step, nil, nil
  -- the page of a form leads the browser on by itself
  self.led_to = before == 'form' and kind == 'authorize' and self.opened
  local page = steps.page(step)
  if kind == 'device' then
    M.yank(fields.code)
  end
  if page and self.browser and not self.led_to then
    self:open_page(page)
  end
  self:draw()
  if kind == 'enter' then
    self:enter(fields.asks)
  else
    self:wait()
  end
end

-- Follows what comes, unless that is under way.
function Session:wait()
  if self.waiting or self.over then
    return
  end
  self.waiting = self.client:request({ login_wait = { login = self.login } }, function(failure, name, fields)
    self.waiting = nil
    self:ended(failure, name, fields)
  end, {
    deadline = false,
    on_event = function(_, fields)
      self:stage(fields.stage)
    end,
  })
end

function Session:stage(stage)
  if self.over then
    return
  end
  local kind, fields = message.variant(stage)
  if kind == 'waiting' then
    self.until_at = os.time() + fields.seconds_left
  elseif kind == 'rejected' then
    self.rejected = text.printable(fields.reason)
  elseif kind == 'exchanging' or kind == 'storing' then
    self.busy, self.rejected = kind, nil
  elseif kind == 'step' and not vim.deep_equal(fields, self.step) then
    return self:act(fields)
  end
  self:draw()
end

-- Asks for what a step wants, and hands it over; asks again when it was not taken.
function Session:enter(asks)
  local answer, why = self:answer_to(asks)
  if self.over then
    return
  elseif not answer then
    if why then
      panel.say(why, vim.log.levels.ERROR)
    end
    return panel.close(self.buffer)
  end
  self.busy = 'storing'
  self:draw()
  self:hand_over(answer, function(failure, name, fields)
    self.busy = nil
    if failure and failure.code == 'invalid_secret' then
      self.rejected = text.failure(failure)[1]
      self:draw()
      return self:enter(asks)
    end
    self:ended(failure, name, fields)
  end)
end

function Session:hand_over(answer, callback)
  self.client:request({ login_answer = { login = self.login, answer = answer } }, callback)
end

-- A person's answer; nil when there is none, with the reason if there is one.
function Session:answer_to(asks)
  local kind, fields = message.variant(asks)
  if kind == 'client' then
    local id = fields.id or ask.open(('client id for %s: '):format(self.name))
    if not id then
      return nil
    end
    local secret, why = ask.secret(
      ('client secret (hidden%s): '):format(fields.secret_needed and '' or ', empty if there is none')
    )
    if why or (fields.secret_needed and not secret) then
      return nil, why
    end
    return { client = { id = id, secret = secret or vim.NIL } }
  elseif kind == 'cookies' then
    local pairs_of = {}
    for i, name in ipairs(fields.names) do
      local needed = i <= fields.needed
      local value, why = ask.secret(
        ('value of the cookie %s (hidden%s): '):format(text.printable(name), needed and '' or ', may be empty')
      )
      if why or (needed and not value) then
        return nil, why
      end
      pairs_of[#pairs_of + 1] = value and { name, value } or nil
    end
    return { cookies = pairs_of }
  elseif kind == 'service_account' then
    local path = ask.open(('key file of the service account for %s: '):format(self.name), 'file')
    if not path then
      return nil
    end
    local words, why = M.read(vim.fn.fnamemodify(vim.fn.expand(path), ':p'))
    return words and { secret = words }, why
  elseif kind == 'api_key' or kind == 'signing_secret' then
    local what = kind == 'api_key' and 'key' or 'signing secret'
    local secret, why = ask.secret(('%s for %s (hidden): '):format(what, self.name))
    return secret and { secret = secret } or nil, why
  end
  return nil, 'the daemon asks for something that this plugin does not know; `authsome login` may'
end

-- The text of a key file, which goes through no buffer; or nil and why.
function M.read(path)
  local file, why = uv.fs_open(path, 'r', 0)
  local found = file and uv.fs_fstat(file)
  local words
  if found and found.type == 'file' and found.size <= FILE_MAX then
    words, why = uv.fs_read(file, FILE_MAX, 0)
  elseif found then
    why = found.type == 'file' and 'it is too large for a key file' or 'it is no file'
  end
  if file then
    uv.fs_close(file)
  end
  return words, not words and ('cannot read `%s`: %s'):format(text.printable(path), why) or nil
end

-- Hands over the address that a browser elsewhere ended at.
function Session:paste()
  if kind_of(self.step) ~= 'authorize' or self.over then
    return
  end
  local _, fields = message.variant(self.step)
  local address, why =
    ask.secret(('paste the address, which begins with %s (hidden): '):format(text.printable(fields.redirect_uri)))
  if not address then
    return why and panel.say(why, vim.log.levels.ERROR)
  end
  self:hand_over({ redirect = vim.trim(address) }, function(failure)
    -- when it is taken, `login_wait` tells how it went on
    if failure and failure.code == 'invalid_secret' then
      self.rejected = text.failure(failure)[1]
      self:draw()
    end
  end)
end

-- An answer came: the next step, the end, or a failure.
function Session:ended(failure, name, fields)
  if self.over then
    return
  elseif not failure and name == 'login_started' then
    self.until_at = os.time() + fields.seconds_left
    -- whoever waits may have heard of it already
    if kind_of(fields.step) ~= 'enter' and vim.deep_equal(fields.step, self.step) then
      return self:wait()
    end
    return self:act(fields.step)
  end
  local good = not failure and (name == 'logged_in' or name == 'webhook_stored')
  local lines
  if failure then
    lines = text.failure(failure)
  elseif name == 'logged_in' then
    lines = { text.logged_in(fields, os.time()) }
  else
    lines = { good and 'stored' or 'the daemon ended the login in a way that this plugin does not know' }
  end
  self.over, self.outcome = true, { good = good, lines = lines }
  self:stop()
  self:draw()
  if good then
    vim.defer_fn(function()
      panel.close(self.buffer)
    end, DONE_MS)
  end
end

function Session:stop()
  if self.timer then
    self.timer:stop()
    self.timer:close()
    self.timer = nil
  end
end

-- The window is gone: a login that is not over ends.
function Session:give_up()
  self:stop()
  if self.over then
    return
  end
  self.over = true
  if self.waiting then
    self.waiting.cancel()
  end
  self.client:request({ login_cancel = { login = self.login } }, function(failure)
    panel.say(failure and failure.code ~= 'login_expired' and text.failure(failure) or 'the login was given up')
  end, { start = false })
end

return M
