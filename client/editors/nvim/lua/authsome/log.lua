-- The audit log, followed in a buffer.
--
-- After a lost connection it is followed anew. The last lines come again then: those that are shown
-- already are known by their text, since each record has a MAC of its own.

local panel = require('authsome.panel')
local text = require('authsome.text')

local M = {}

-- Lines that are asked for first, and most that are kept in the buffer.
local FIRST = 200
local KEPT = 5000

local EVENTS = {
  refuse = 'AuthsomeBad',
  webhook_refuse = 'AuthsomeBad',
  renew_failed = 'AuthsomeBad',
  login_failed = 'AuthsomeBad',
  webhook_fail = 'AuthsomeBad',
  chain_broken = 'AuthsomeBad',
  reveal = 'AuthsomeCareful',
  export = 'AuthsomeCareful',
}

local shown -- the one log: { buffer, seen, order, due, follow }

-- A line, its event in color. Pure.
function M.line(line)
  local words = text.record(line)
  local at, event, rest = words:match('^(.-%S  )(%S+)(.*)$')
  if not at then
    return { words }
  end
  return { { at, 'AuthsomeQuiet' }, { event, EVENTS[event] or 'AuthsomeGood' }, rest }
end

local function write(log)
  log.writing = false
  if not vim.api.nvim_buf_is_valid(log.buffer) then
    return
  end
  local lines = log.due
  log.due = {}
  local count = vim.api.nvim_buf_line_count(log.buffer)
  local windows = vim.tbl_filter(function(window)
    -- one whose cursor was moved up is being read
    return vim.api.nvim_win_get_cursor(window)[1] >= count
  end, vim.fn.win_findbuf(log.buffer))
  panel.put(log.buffer, log.empty and 0 or -1, -1, lines)
  log.empty = false
  local over = vim.api.nvim_buf_line_count(log.buffer) - KEPT
  if over > 0 then
    panel.put(log.buffer, 0, over, {})
  end
  local last = vim.api.nvim_buf_line_count(log.buffer)
  for _, window in ipairs(windows) do
    vim.api.nvim_win_set_cursor(window, { last, 0 })
  end
end

-- Lines come in bursts: they are written together.
local function put(log, line)
  log.due[#log.due + 1] = line
  if not log.writing then
    log.writing = true
    vim.schedule(function()
      write(log)
    end)
  end
end

local function record(log, line)
  if log.seen[line] then
    return
  end
  log.seen[line] = true
  log.order[#log.order + 1] = line
  if #log.order > 2 * FIRST then
    log.seen[table.remove(log.order, 1)] = nil
  end
  put(log, M.line(line))
end

local function follow(client, log)
  if log.follow or shown ~= log then
    return
  end
  log.follow = client:request({
    log_follow = { lines = FIRST, provider = log.provider or vim.NIL, run = vim.NIL },
  }, function(failure)
    log.follow = nil
    if failure and failure.code ~= 'cancelled' then
      for _, line in ipairs(text.failure(failure)) do
        put(log, { { '-- ' .. line, 'AuthsomeCareful' } })
      end
    end
  end, {
    deadline = false,
    on_event = function(name, fields)
      if name == 'audit' then
        record(log, fields.line)
      elseif name == 'missed' then
        put(log, { { ('-- %d records came too fast and are not shown'):format(fields.count), 'AuthsomeCareful' } })
      end
    end,
  })
end

-- Follows the log, of one provider if it is given.
function M.open(client, state, provider)
  if shown and vim.api.nvim_buf_is_valid(shown.buffer) then
    panel.close(shown.buffer)
  end
  local buffer = panel.buffer('authsome://log', 'authsome')
  local log = { buffer = buffer, provider = provider, seen = {}, order = {}, due = {}, empty = true }
  shown = log
  panel.split(buffer, 12)
  panel.put(buffer, 0, -1, { { { ' no records yet', 'AuthsomeQuiet' } } })
  panel.key(buffer, 'q', 'close the log', function()
    panel.close(buffer)
  end)
  vim.api.nvim_create_autocmd('BufWipeout', {
    buffer = buffer,
    once = true,
    callback = function()
      if shown == log then
        shown = nil
      end
      if log.follow then
        log.follow.cancel()
      end
    end,
  })
  state:watch()
  follow(client, log)
end

-- A daemon is there again.
function M.up(client)
  if shown then
    follow(client, shown)
  end
end

return M
