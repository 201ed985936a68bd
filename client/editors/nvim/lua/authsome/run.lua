-- Terminals whose programs run under `authsome run`: they see placeholders, their requests get the
-- credentials.

local config = require('authsome.config')
local panel = require('authsome.panel')

local M = {}

-- Splits the options of `authsome run` from a command: with options, ` -- ` ends them. Pure.
function M.split(line)
  line = vim.trim(line)
  if line:sub(1, 1) ~= '-' then
    return {}, line
  end
  local options, command = (' ' .. line .. ' '):match('^(.-)%s%-%-%s(.*)$')
  return vim.split(options or line, '%s+', { trimempty = true }), vim.trim(command or '')
end

-- Starts a terminal; an empty command is a shell. The command is the shell's, as with `:terminal`.
function M.open(line)
  local program, failure = config.authsome()
  if not program then
    return panel.fail(failure)
  end
  local options, command = M.split(line)
  local words = vim.list_extend({ program, 'run' }, options)
  words[#words + 1] = '--'
  vim.list_extend(words, vim.split(vim.o.shell, '%s+', { trimempty = true }))
  if command ~= '' then
    vim.list_extend(words, vim.split(vim.o.shellcmdflag, '%s+', { trimempty = true }))
    words[#words + 1] = command
  end
  vim.cmd('botright new')
  vim.bo.bufhidden = 'hide'
  local extra = config.extra()
  local job = vim.empty_dict()
  job.env = next(extra) and extra or nil
  local id
  if vim.fn.has('nvim-0.11') == 1 then
    job.term = true
    id = vim.fn.jobstart(words, job)
  else
    id = vim.fn.termopen(words, job)
  end
  -- its own name would be our program's path, the same for all of them
  local shown = command ~= '' and command or 'shell'
  pcall(vim.api.nvim_buf_set_name, 0, ('authsome://run/%d %s'):format(id, (shown:gsub('[%c]', ' '))))
  vim.cmd('startinsert')
end

return M
