-- Requests, answers and events over one shared connection.
--
-- 1. The first request connects; those that come meanwhile wait for it. Where nobody listens, a
--    daemon is started if a request wants that.
-- 2. Each request gets an id of its own and is called back exactly once: with its answer, with a
--    failure of the daemon, or with one of ours (the connection was lost, the time is up, given up).
-- 3. A connection that ends fails what is in flight. Nothing is sent twice by itself: whoever follows
--    something (`state`, `log`) asks anew when `on_up` tells of the next connection.
--
-- Callbacks of requests and listeners run on the main loop, in the order in which things came.

local message = require('authsome.message')
local places = require('authsome.places')
local start = require('authsome.start')
local wire = require('authsome.wire')

local uv = vim.uv or vim.loop

local M = {}

-- How long an answer may take, in milliseconds. The longest honest one waits for a person to unlock
-- the keyring.
local ANSWER_MS = 150000

-- How long a daemon that said it listens may take to accept us, and the pause between two tries.
local ACCEPT_MS = 5000
local PAUSE_MS = 50

-- Ids on one connection; the daemon hangs up at 65,536.
M.IDS_MAX = 65000

local Client = {}
Client.__index = Client

-- `options`: build; authsome, the command line client's name for hints; env(), a table of variables;
-- daemon(), the path of `authsomed`, or nil and a failure; system, see `places`.
function M.new(options)
  return setmetatable({
    options = options,
    system = options.system or places.system(),
    wire = nil,
    greeting = nil,
    next_id = 1,
    in_flight = {},
    waiting = {},
    listeners = { up = {}, down = {} },
  }, Client)
end

local function later(callback, ...)
  if callback then
    local arguments, count = { ... }, select('#', ...)
    vim.schedule(function()
      callback(unpack(arguments, 1, count))
    end)
  end
end

-- Asks. `callback(failure, name, fields)` gets the answer. `options`: on_event(name, fields); deadline
-- in milliseconds, false for none; start: true (unless given) to start a daemon where there is none,
-- `'crashed'` to do so only where the last one was killed, or false.
-- Gives a handle with `cancel()`; what is cancelled is still called back.
function Client:request(request, callback, options)
  options = options or {}
  local entry = { request = request, callback = callback, on_event = options.on_event }
  local start_it = options.start
  if start_it == nil then
    start_it = true
  end
  entry.start = start_it
  if options.deadline ~= false then
    entry.timer = uv.new_timer()
    entry.timer:start(options.deadline or ANSWER_MS, 0, function()
      self:give_up(entry, {
        code = 'timed_out',
        message = 'the daemon did not answer in time',
        causes = {},
        hint = ('`%s daemon logs` may say why'):format(self.options.authsome),
      })
    end)
  end
  if self.wire and self.wire.state == 'open' then
    self:send(entry)
  else
    self.waiting[#self.waiting + 1] = entry
    self:connect()
  end
  return {
    cancel = function()
      if entry.id then
        if self.in_flight[entry.id] == entry then
          self.wire:write(message.cancel(entry.id))
        end
      else
        self:give_up(entry, { code = 'cancelled', message = 'the request was cancelled', causes = {} })
      end
    end,
  }
end

function Client:settle(entry, failure, name, fields)
  if entry.settled then
    return
  end
  entry.settled = true
  if entry.timer then
    entry.timer:close()
  end
  if entry.id then
    self.in_flight[entry.id] = nil
  end
  later(entry.callback, failure, name, fields)
end

-- Settles what nobody waits for any more; its answer, if one comes, is for nobody.
function Client:give_up(entry, failure)
  if entry.id and self.in_flight[entry.id] == entry then
    self.wire:write(message.cancel(entry.id))
  end
  self:settle(entry, failure)
end

function Client:send(entry)
  if entry.settled then
    return
  end
  if self.next_id > M.IDS_MAX then
    local lost = { code = 'lost', message = 'the connection is used up; try again', causes = {} }
    self.wire:finish(lost)
    return self:settle(entry, lost)
  end
  local id = self.next_id
  self.next_id = id + 1
  local payload, why = message.request(id, entry.request)
  entry.request = nil -- it may hold a secret, and is not needed again
  local sent = payload ~= nil
  if sent then
    entry.id = id
    self.in_flight[id] = entry
    sent, why = self.wire:write(payload)
  end
  if not sent then
    self:settle(entry, { code = 'bad_request', message = 'the request cannot be sent', causes = { why } })
  end
end

function Client:on_frame(payload)
  local said = message.decode(payload)
  -- what cannot be understood is of a later daemon, and not for us
  local entry = said and self.in_flight[said.id]
  if not entry then
    return
  end
  if said.kind == 'answer' then
    self:settle(entry, said.failure, said.name, said.fields)
  elseif said.name and entry.on_event then
    later(entry.on_event, said.name, said.fields)
  end
end

-- Connects if that is not under way.
function Client:connect()
  if self.wire or self.starting then
    return
  end
  local where, failure = places.resolve(self.options.env(), self.system)
  if not where then
    return self:fail_waiting(failure)
  end
  local socket, note = places.socket(where, self.system)
  failure = places.distrust(socket, self.system)
  if failure then
    return self:fail_waiting(failure)
  end
  local current
  current = wire.open({
    socket = socket,
    build = self.options.build,
    authsome = self.options.authsome,
    uid = self.system.uid,
    on_open = function(greeting)
      self:opened(greeting)
    end,
    on_frame = function(payload)
      self:on_frame(payload)
    end,
    on_end = function(ended)
      self:ended(ended, note)
    end,
  })
  self.wire = current
end

function Client:opened(greeting)
  self.greeting, self.next_id, self.patience = greeting, 1, nil
  local waiting = self.waiting
  self.waiting = {}
  for _, listener in ipairs(self.listeners.up) do
    later(listener, greeting)
  end
  for _, entry in ipairs(waiting) do
    -- one of them may have ended the connection
    if self.wire and self.wire.state == 'open' then
      self:send(entry)
    else
      self.waiting[#self.waiting + 1] = entry
    end
  end
end

function Client:ended(failure, note)
  local was_open = self.greeting ~= nil
  self.wire, self.greeting = nil, nil
  if was_open then
    local lost = {
      code = 'lost',
      message = 'the connection to the daemon was lost',
      causes = failure and failure.causes or {},
    }
    for _, entry in pairs(self.in_flight) do
      self:settle(entry, lost)
    end
    self.in_flight = {}
    for _, listener in ipairs(self.listeners.down) do
      later(listener, lost)
    end
    if #self.waiting > 0 then
      self:connect()
    end
    return
  end
  if not failure.nobody then
    return self:fail_waiting(failure)
  end
  if self.patience and uv.now() < self.patience then
    return self:pause()
  end
  if not self.patience and self:may_start(note) then
    return self:start_daemon()
  end
  self.patience = nil
  failure.hint = failure.hint or ('`%s daemon start` starts it'):format(self.options.authsome)
  self:fail_waiting(failure)
end

-- Whether somebody who waits wants a daemon to be started. A note that names a daemon which does
-- not listen was left behind by one that was killed: in order it would have emptied it.
function Client:may_start(note)
  for _, entry in ipairs(self.waiting) do
    if not entry.settled and (entry.start == true or (entry.start == 'crashed' and note)) then
      return true
    end
  end
  return false
end

function Client:start_daemon()
  self.starting = true
  -- looking the program up needs the main loop
  vim.schedule(function()
    local program, failure = self.options.daemon()
    if not program then
      self.starting = false
      return self:fail_waiting(failure)
    end
    local env = {}
    for name, value in pairs(self.options.env()) do
      env[#env + 1] = name .. '=' .. value
    end
    start.start(program, env, function(problem)
      self.starting = false
      if problem then
        return self:fail_waiting(problem)
      end
      self.patience = uv.now() + ACCEPT_MS
      self:connect()
    end)
  end)
end

function Client:pause()
  local timer = uv.new_timer()
  self.starting = true
  timer:start(PAUSE_MS, 0, function()
    timer:close()
    self.starting = false
    self:connect()
  end)
end

function Client:fail_waiting(failure)
  local waiting = self.waiting
  self.waiting, self.patience = {}, nil
  for _, entry in ipairs(waiting) do
    self:settle(entry, failure)
  end
end

-- Calls back whenever a daemon has greeted.
function Client:on_up(listener)
  table.insert(self.listeners.up, listener)
end

-- Calls back whenever a connection that was open has ended.
function Client:on_down(listener)
  table.insert(self.listeners.down, listener)
end

-- Whether a daemon is connected.
function Client:is_up()
  return self.greeting ~= nil
end

-- Hangs up.
function Client:close()
  if self.wire then
    self.wire:finish({ causes = {} })
  end
end

return M
