-- One connection to a daemon: connect, check who is there, greet, then frames both ways.
--
-- 1. The folder of the socket is judged before we connect (`places`).
-- 2. The kernel is asked whose process listens, before a byte is sent (`peer`).
-- 3. Both ends greet; then every frame is handed to `on_frame`.
--
-- `on_end` is called once, with a failure whose `nobody` is true where another daemon may be started.
-- Callbacks run wherever the event loop is: they may not call `vim.api` or `vim.fn`.

local frame = require('authsome.frame')
local hello = require('authsome.hello')
local peer = require('authsome.peer')

local uv = vim.uv or vim.loop

local M = {}

-- How long a daemon may take to greet, in milliseconds. It does so at once, or it hangs.
local GREETING_MS = 5000

-- Errors of `connect` that mean that nobody listens.
local NOBODY = { ENOENT = 'no such socket', ECONNREFUSED = 'connection refused', EAGAIN = 'it does not accept' }

local Wire = {}
Wire.__index = Wire

-- Opens a connection. `options`: socket, build, authsome (the client's name, for hints), uid,
-- on_open(greeting), on_frame(payload), on_end(failure).
function M.open(options)
  local wire = setmetatable({
    options = options,
    state = 'connecting',
    pipe = uv.new_pipe(false),
    timer = uv.new_timer(),
    reader = frame.reader(frame.OPENING_MAX),
  }, Wire)
  wire.timer:start(GREETING_MS, 0, function()
    wire:finish(
      wire:failure(
        ('it did not greet within %d s'):format(GREETING_MS / 1000),
        ('`%s daemon restart` replaces a daemon that hangs'):format(options.authsome)
      )
    )
  end)
  wire.pipe:connect(options.socket, function(error)
    wire:connected(error)
  end)
  return wire
end

function Wire:failure(cause, hint, nobody)
  return {
    code = 'unreachable',
    message = ('cannot reach the daemon at `%s`'):format(self.options.socket),
    causes = { cause },
    hint = hint,
    nobody = nobody,
  }
end

function Wire:connected(error)
  if self.state ~= 'connecting' then
    return
  end
  if error then
    local name = error:match('^(%u+)') or error
    return self:finish(self:failure(NOBODY[name] or error, nil, NOBODY[name] ~= nil))
  end
  local uid = peer.uid(self.pipe)
  if uid and uid ~= self.options.uid then
    return self:finish(
      self:failure(
        ('user %d listens there, not you (user %d)'):format(uid, self.options.uid),
        'nothing was sent; find out who put that socket there'
      )
    )
  end
  self.state = 'greeting'
  self.pipe:read_start(function(failed, bytes)
    if failed or not bytes then
      -- one that stops between accepting us and greeting is as good as none
      local cause = failed or 'it hung up'
      return self:finish(self:failure(cause, nil, self.state == 'greeting'))
    end
    self.reader:push(bytes)
    self:read()
  end)
  self:write(hello.encode(self.options.build), frame.OPENING_MAX)
end

function Wire:read()
  while self.state == 'greeting' or self.state == 'open' do
    local payload, broken = self.reader:next()
    if broken then
      return self:finish(self:failure(broken, 'something else listens on that socket'))
    elseif not payload then
      return
    elseif self.state == 'open' then
      self.options.on_frame(payload)
    else
      self:greeted(payload)
    end
  end
end

function Wire:greeted(payload)
  local theirs, why = hello.decode(payload)
  if not theirs then
    return self:finish(self:failure(why, 'something else listens on that socket'))
  elseif not hello.agree(theirs) then
    return self:finish(hello.skew(theirs, self.options.authsome))
  elseif theirs.encoding ~= hello.JSON then
    return self:finish(self:failure('it does not speak JSON'))
  end
  self.timer:stop()
  self.state = 'open'
  self.reader.max = frame.MAX
  self.options.on_open(theirs)
end

-- Sends a frame; gives false and why where it is too long. A connection that breaks says so itself.
function Wire:write(payload, max)
  local bytes, why = frame.encode(payload, max)
  if not bytes then
    return false, why
  end
  self.pipe:write(bytes, function(error)
    if error then
      self:finish(self:failure(error))
    end
  end)
  return true
end

-- Closes it without telling.
function Wire:close()
  self.options.on_end = function() end
  self:finish(nil)
end

function Wire:finish(failure)
  if self.state == 'closed' then
    return
  end
  self.state = 'closed'
  for _, handle in ipairs({ self.timer, self.pipe }) do
    if not handle:is_closing() then
      handle:close()
    end
  end
  self.options.on_end(failure)
end

return M
