-- The list of connections: a buffer that follows the daemon's events, and keys that act on a line.

local login = require('authsome.login')
local panel = require('authsome.panel')
local text = require('authsome.text')
local view = require('authsome.view')

local uv = vim.uv or vim.loop

local M = {}

-- How often times such as "2 min ago" are written anew, in milliseconds.
local TIMES_MS = 30000

local KEYS = {
  ' ',
  { 'l', 'AuthsomeKey' },
  { ' log in again   ', 'AuthsomeQuiet' },
  { 'x', 'AuthsomeKey' },
  { ' log out   ', 'AuthsomeQuiet' },
  { 'd', 'AuthsomeKey' },
  { ' make default   ', 'AuthsomeQuiet' },
  { 'r', 'AuthsomeKey' },
  { ' refresh   ', 'AuthsomeQuiet' },
  { 'q', 'AuthsomeKey' },
  { ' close', 'AuthsomeQuiet' },
}

local shown -- the one list: { buffer, at }

local function draw(state)
  if not (shown and vim.api.nvim_buf_is_valid(shown.buffer)) then
    return
  end
  local lines
  if state.up then
    lines, shown.at = view.connections(state.connections, os.time())
  else
    local problem = state.problem
    lines, shown.at = {}, {}
    for i, line in ipairs(problem and text.failure(problem) or { 'connecting …' }) do
      lines[i] = { ' ', { line, problem and 'AuthsomeBad' or 'AuthsomeQuiet' } }
    end
  end
  vim.list_extend(lines, { '', KEYS })
  panel.put(shown.buffer, 0, -1, lines)
  if #lines ~= shown.height then
    -- only then: a person may have made it higher
    shown.height = #lines
    for _, window in ipairs(vim.fn.win_findbuf(shown.buffer)) do
      panel.height(window, #lines)
    end
  end
end

local function selected()
  local one = shown and shown.at[vim.api.nvim_win_get_cursor(0)[1]]
  if not one then
    panel.say('no connection on this line')
  end
  return one
end

-- The question before a connection is forgotten, with No as the answer to a lone Enter.
local function log_out(client, one)
  local question = ('Log out of %s (%s)? Its credential is deleted here.'):format(one.provider, one.connection)
  if vim.fn.confirm(question, '&Yes\n&No', 2) ~= 1 then
    return
  end
  client:request({ logout = { provider = one.provider, connection = one.connection } }, function(failure, _, fields)
    if failure then
      return panel.fail(failure)
    end
    local words = ('logged out: %s (%s)'):format(one.provider, one.connection)
    panel.say(fields.new_default and words .. ('; %s is the default now'):format(fields.new_default) or words)
  end)
end

-- Shows the list, or goes to it.
function M.open(client, state)
  if shown and vim.api.nvim_buf_is_valid(shown.buffer) then
    local window = vim.fn.bufwinid(shown.buffer)
    if window ~= -1 then
      vim.api.nvim_set_current_win(window)
      return state:refresh()
    end
  end
  local buffer = panel.buffer('authsome://connections', 'authsome')
  shown = { buffer = buffer, at = {} }
  local window = panel.split(buffer, #state.connections + 5)
  vim.wo[window].cursorline = true
  panel.key(buffer, 'q', 'close the list', function()
    panel.close(buffer)
  end)
  panel.key(buffer, 'r', 'refresh the list', function()
    state:refresh()
  end)
  panel.key(buffer, 'l', 'log in again', function()
    local one = selected()
    if one then
      login.begin(client, one.provider, { connection = one.connection, force = true })
    end
  end)
  panel.key(buffer, 'x', 'log out', function()
    local one = selected()
    if one then
      log_out(client, one)
    end
  end)
  panel.key(buffer, 'd', 'make it the default', function()
    local one = selected()
    if one then
      client:request({ set_default = { provider = one.provider, connection = one.connection } }, function(failure)
        if failure then
          return panel.fail(failure)
        end
        panel.say(('%s is the default of %s now'):format(one.connection, one.provider))
        -- it is no connection that changed
        state:refresh()
      end)
    end
  end)
  local timer = uv.new_timer()
  timer:start(
    TIMES_MS,
    TIMES_MS,
    vim.schedule_wrap(function()
      draw(state)
    end)
  )
  vim.api.nvim_create_autocmd('BufWipeout', {
    buffer = buffer,
    once = true,
    callback = function()
      timer:stop()
      timer:close()
      shown = nil
    end,
  })
  draw(state)
  vim.api.nvim_win_set_cursor(window, { math.min(2, vim.api.nvim_buf_line_count(buffer)), 0 })
  -- a person asks: now a daemon is started if none is there
  client:request('connections', function(failure)
    if failure then
      state.problem = failure
      return draw(state)
    end
    state:refresh()
  end)
end

-- Draws it anew when something changed.
function M.changed(state)
  draw(state)
end

return M
