-- What is known of the daemon: connections and runs, kept up to date by its events.
--
-- 1. `watch` subscribes. It starts no daemon, unless the last one was killed: whoever stopped one in
--    order wants none.
-- 2. An event says that something changed; what it is now is asked for, once for many events.
-- 3. When the connection ends, it is tried again, ever more rarely.

local text = require('authsome.text')

local uv = vim.uv or vim.loop

local M = {}

-- Pauses between two tries, in milliseconds. Longer would leave the statusline wrong for long.
local FIRST_PAUSE_MS, LAST_PAUSE_MS = 250, 30000

-- How long events are gathered before the daemon is asked, in milliseconds.
local GATHER_MS = 80

local State = {}
State.__index = State

-- The pause after `tries` failures, in milliseconds. Pure.
function M.pause(tries)
  return math.min(FIRST_PAUSE_MS * 2 ^ math.min(tries, 20), LAST_PAUSE_MS)
end

function M.new(client)
  local state = setmetatable({
    client = client,
    up = false,
    problem = nil,
    connections = {},
    runs = 0,
    tries = 0,
    watching = false,
    listeners = {},
    due = {},
  }, State)
  client:on_down(function(failure)
    state.up = false
    state.problem = failure
    state:changed()
  end)
  client:on_up(function()
    -- another request may have brought a daemon up while we pause
    if state.watching and state.timer then
      state:subscribe()
    end
  end)
  return state
end

-- Begins to watch, once.
function State:watch()
  if not self.watching then
    self.watching = true
    self:subscribe()
  end
end

function State:subscribe()
  self:stop_timer()
  self.client:request('subscribe', function(failure)
    -- it is answered only when it is over
    self:again(failure)
  end, {
    deadline = false,
    start = self.seen and 'crashed' or false,
    on_event = function(name, fields)
      self:event(name, fields)
    end,
  })
  self:ask('connections')
  self:ask('runs')
end

function State:again(failure)
  self.up = false
  self.problem = failure
  self:changed()
  if not self.watching or self.timer then
    return
  end
  self.timer = uv.new_timer()
  self.timer:start(
    M.pause(self.tries),
    0,
    vim.schedule_wrap(function()
      if self.watching and self.timer then
        self:subscribe()
      end
    end)
  )
  self.tries = self.tries + 1
end

function State:stop_timer()
  if self.timer then
    self.timer:stop()
    self.timer:close()
    self.timer = nil
  end
end

function State:event(name, fields)
  if name == 'connection_changed' then
    self:soon('connections')
  elseif name == 'run_started' or name == 'run_ended' then
    self:soon('runs')
  elseif name == 'missed' then
    self:soon('connections')
    self:soon('runs')
  end
end

function State:soon(what)
  if self.due[what] then
    return
  end
  self.due[what] = true
  vim.defer_fn(function()
    self.due[what] = nil
    self:ask(what)
  end, GATHER_MS)
end

function State:ask(what)
  self.client:request(what, function(failure, name, fields)
    if failure or name ~= what then
      return
    end
    self.up, self.seen, self.problem, self.tries = true, true, nil, 0
    if what == 'runs' then
      self.runs = #fields
    else
      self.connections = fields
    end
    self:changed()
  end, { start = false })
end

-- Asks for the connections anew.
function State:refresh()
  self:ask('connections')
end

-- Calls back after every change.
function State:on_change(listener)
  table.insert(self.listeners, listener)
end

function State:changed()
  for _, listener in ipairs(self.listeners) do
    listener(self)
  end
end

function State:close()
  self.watching = false
  self:stop_timer()
end

-- The state in a few words, for a statusline: what needs a person first. Pure.
function M.summary(state)
  if not state.up then
    local code = state.problem and state.problem.code
    return 'authsome ' .. (code == 'version' and 'other version' or state.problem and 'off' or '…')
  end
  local ill, first = 0, nil
  for _, one in ipairs(state.connections) do
    if one.state ~= 'connected' then
      ill = ill + 1
      first = first or one
    end
  end
  local words = 'authsome ' .. #state.connections
  if state.runs > 0 then
    words = words .. ', ' .. text.count(state.runs, 'run', 'runs')
  end
  if first then
    local name = first.provider .. (first.is_default and '' or ' (' .. first.connection .. ')')
    words = words .. ', ' .. name .. ' ' .. (first.state:gsub('_', ' '))
    words = ill > 1 and ('%s +%d'):format(words, ill - 1) or words
  end
  return words
end

return M
