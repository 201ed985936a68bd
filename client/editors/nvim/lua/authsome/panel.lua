-- Buffers and windows that show something: scratch, not listed, gone when closed, no undo.
--
-- A line is a list of parts, each a text or { text, highlight group }. Texts may come from the daemon:
-- they are made printable here, whoever made them, and nothing in such a buffer is ever read as a
-- command (no modelines).

local text = require('authsome.text')

local M = {}

local SPACE = vim.api.nvim_create_namespace('authsome')

local GROUPS = {
  AuthsomeTitle = 'Title',
  AuthsomeHead = 'Comment',
  AuthsomeGood = 'String',
  AuthsomeCareful = 'WarningMsg',
  AuthsomeBad = 'ErrorMsg',
  AuthsomeQuiet = 'Comment',
  AuthsomeLink = 'Underlined',
  AuthsomeKey = 'Special',
  AuthsomeCode = 'IncSearch',
}

-- Default colors; a color scheme or the user may say otherwise.
function M.highlights()
  for name, link in pairs(GROUPS) do
    vim.api.nvim_set_hl(0, name, { link = link, default = true })
  end
end

-- A scratch buffer; `name` is shown as its file name.
function M.buffer(name, filetype)
  M.highlights()
  local buffer = vim.api.nvim_create_buf(false, true)
  local set = vim.bo[buffer]
  set.buftype = 'nofile'
  set.bufhidden = 'wipe'
  set.swapfile = false
  set.modeline = false
  set.undolevels = -1
  set.modifiable = false
  if name then
    pcall(vim.api.nvim_buf_set_name, buffer, name)
  end
  set.filetype = filetype
  return buffer
end

local function flatten(line)
  local plain, marks = '', {}
  for _, part in ipairs(type(line) == 'table' and line or { line }) do
    local words = text.printable(type(part) == 'table' and part[1] or part)
    if type(part) == 'table' and part[2] then
      marks[#marks + 1] = { #plain, #plain + #words, part[2] }
    end
    plain = plain .. words
  end
  return plain, marks
end

-- The text of lines, without their colors. Pure.
function M.plain(lines)
  return vim.tbl_map(function(line)
    return (flatten(line))
  end, lines)
end

-- Puts lines into a buffer from line `from` (0 is the first) to `to` (-1 is the end).
function M.put(buffer, from, to, lines)
  if not vim.api.nvim_buf_is_valid(buffer) then
    return
  end
  local texts, marked = {}, {}
  for i, line in ipairs(lines) do
    texts[i], marked[i] = flatten(line)
  end
  vim.bo[buffer].modifiable = true
  if from == 0 and to == -1 then
    vim.api.nvim_buf_clear_namespace(buffer, SPACE, 0, -1)
  elseif from < 0 then
    from = vim.api.nvim_buf_line_count(buffer)
  end
  vim.api.nvim_buf_set_lines(buffer, from, to, false, texts)
  for i, marks in ipairs(marked) do
    for _, mark in ipairs(marks) do
      vim.api.nvim_buf_set_extmark(buffer, SPACE, from + i - 1, mark[1], {
        end_col = mark[2],
        hl_group = mark[3],
      })
    end
  end
  vim.bo[buffer].modifiable = false
  vim.bo[buffer].modified = false
end

-- How a window of ours looks.
local function plain_window(window)
  local set = vim.wo[window]
  set.number = false
  set.relativenumber = false
  set.signcolumn = 'no'
  set.foldcolumn = '0'
  set.spell = false
  set.list = false
  set.fillchars = 'eob: '
end

-- Makes a split so high, half of the screen at most.
function M.height(window, height)
  vim.api.nvim_win_set_height(window, math.max(3, math.min(height, math.floor(vim.o.lines / 2))))
end

-- Shows a buffer in a split below.
function M.split(buffer, height)
  vim.cmd('botright split')
  local window = vim.api.nvim_get_current_win()
  vim.api.nvim_win_set_buf(window, buffer)
  plain_window(window)
  vim.wo[window].wrap = false
  vim.wo[window].winfixheight = true
  M.height(window, height)
  return window
end

-- Where a floating window of `lines` goes: in the middle, as small as they let it be.
local function place(lines, width_max)
  local width = 30
  for _, line in ipairs(lines) do
    width = math.max(width, vim.fn.strdisplaywidth(line) + 2)
  end
  width = math.max(10, math.min(width, width_max, vim.o.columns - 4))
  local height = 0
  for _, line in ipairs(lines) do
    height = height + math.max(1, math.ceil(vim.fn.strdisplaywidth(line) / width))
  end
  height = math.max(1, math.min(height, vim.o.lines - 4))
  return {
    relative = 'editor',
    width = width,
    height = height,
    row = math.max(0, math.floor((vim.o.lines - height) / 2) - 1),
    col = math.max(0, math.floor((vim.o.columns - width) / 2)),
  }
end

-- Shows a buffer in a floating window as large as its lines.
function M.float(buffer, width_max)
  local lines = vim.api.nvim_buf_get_lines(buffer, 0, -1, false)
  local config = place(lines, width_max)
  config.style = 'minimal'
  config.border = 'rounded'
  local window = vim.api.nvim_open_win(buffer, true, config)
  vim.wo[window].wrap = true
  return window
end

-- Makes a floating window fit its buffer again.
function M.fit(window, buffer, width_max)
  if vim.api.nvim_win_is_valid(window) then
    vim.api.nvim_win_set_config(window, place(vim.api.nvim_buf_get_lines(buffer, 0, -1, false), width_max))
  end
end

-- A key of a buffer.
function M.key(buffer, key, description, action)
  vim.keymap.set('n', key, action, { buffer = buffer, silent = true, nowait = true, desc = description })
end

-- Closes the window of a buffer, and with it the buffer.
function M.close(buffer)
  if vim.api.nvim_buf_is_valid(buffer) then
    pcall(vim.api.nvim_buf_delete, buffer, { force = true })
  end
end

-- Tells a person something in the message area.
function M.say(words, level)
  vim.notify(type(words) == 'table' and table.concat(words, '\n') or words, level or vim.log.levels.INFO, {
    title = 'authsome',
  })
end

-- Tells of a failure.
function M.fail(failure)
  if failure.code ~= 'cancelled' then
    M.say(text.failure(failure), vim.log.levels.ERROR)
  end
end

return M
