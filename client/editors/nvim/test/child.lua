-- Another Neovim with the plugin, driven as a person would: keys in, buffers looked at.

local expect = require('expect')

local M = {}

local here = vim.fn.fnamemodify(debug.getinfo(1, 'S').source:sub(2), ':p:h')

local Child = {}
Child.__index = Child

-- Starts it with `env` on top of ours. `shada`: its shada file; none without.
--
-- It draws into a terminal of its own. Drawn over our channel, a Neovim that is no user interface would
-- answer each frame with an error, and the two would answer each other's errors without end.
function M.start(env, shada)
  local address = vim.fn.tempname()
  local words = { vim.v.progpath, '--listen', address, '-n', '-u', here .. '/init.lua', '-i', shada or 'NONE' }
  local screen = { pty = true, width = 140, height = 50, env = vim.tbl_extend('keep', env, { TERM = 'xterm' }) }
  local job = vim.fn.jobstart(words, screen)
  assert(job > 0, 'Neovim cannot be started')
  local id = expect.soon('the other Neovim', function()
    local connected, id = pcall(vim.fn.sockconnect, 'pipe', address, { rpc = true })
    return connected and id > 0 and id
  end)
  return setmetatable({ id = id, job = job }, Child)
end

function Child:ask(method, ...)
  return vim.fn.rpcrequest(self.id, method, ...)
end

-- Runs Lua in it.
function Child:lua(code, ...)
  return self:ask('nvim_exec_lua', code, { ... })
end

-- Types.
function Child:type(keys)
  self:ask('nvim_input', keys)
end

-- Types a text as it is, then Enter.
function Child:enter(words)
  self:type((words:gsub('<', '<LT>')) .. '<CR>')
end

-- Waits until it asks for a line, other than a command's.
function Child:asked()
  expect.soon('a question', function()
    return self:ask('nvim_get_mode').mode == 'c'
      -- looked at together: the type is `@`, and nothing at all while something hidden is typed
      and self:lua([[return vim.api.nvim_get_mode().mode == 'c' and vim.fn.getcmdtype() ~= ':']])
  end)
end

-- Waits until it asks for a key or a number and does nothing else. No command line may be open before.
function Child:asked_for_key()
  expect.soon('a question', function()
    local now = self:ask('nvim_get_mode')
    return now.blocking or now.mode:match('^[cr]')
  end)
end

-- The text of every buffer that is loaded, in windows or not.
function Child:everything()
  return self:lua([[
    local all = {}
    for _, buffer in ipairs(vim.api.nvim_list_bufs()) do
      if vim.api.nvim_buf_is_loaded(buffer) then
        vim.list_extend(all, { '== ' .. vim.api.nvim_buf_get_name(buffer) })
        vim.list_extend(all, vim.api.nvim_buf_get_lines(buffer, 0, -1, false))
      end
    end
    return table.concat(all, '\n')
  ]])
end

-- Waits until some buffer holds `part`.
function Child:shows(part)
  return expect.soon(('%q on the screen'):format(part), function()
    local all = self:everything()
    return all:find(part, 1, true) and all
  end, function()
    return self:everything() .. '\n== messages\n' .. self:messages()
  end)
end

-- Waits until no buffer holds `part` any more.
function Child:hides(part)
  return expect.soon(('%q to be gone'):format(part), function()
    return not self:everything():find(part, 1, true)
  end)
end

function Child:messages()
  return self:ask('nvim_exec', 'messages', true)
end

function Child:told(part)
  return expect.soon(('the message %q'):format(part), function()
    return self:messages():find(part, 1, true)
  end, function()
    return self:messages()
  end)
end

function Child:statusline()
  return self:lua([[return require('authsome').statusline()]])
end

-- Every place of it where a typed text could rest: registers, histories, messages, variables, undo,
-- buffers.
function Child:memory()
  return self:lua([[
    local all = {}
    local put = function(what)
      all[#all + 1] = type(what) == 'string' and what or vim.inspect(what)
    end
    for code = 32, 126 do
      local good, words = pcall(vim.fn.getreg, string.char(code))
      put(good and words or '')
    end
    for _, kind in ipairs({ 'cmd', 'search', 'expr', 'input', 'debug' }) do
      for i = 1, vim.fn.histnr(kind) do
        put(vim.fn.histget(kind, i))
      end
    end
    put(vim.api.nvim_exec('messages', true))
    for _, buffer in ipairs(vim.api.nvim_list_bufs()) do
      put(vim.api.nvim_buf_get_name(buffer))
      if vim.api.nvim_buf_is_loaded(buffer) then
        put(vim.api.nvim_buf_get_lines(buffer, 0, -1, false))
      end
    end
    put(vim.fn.getjumplist())
    put(vim.v.errmsg)
    put(vim.v.statusmsg)
    for name in pairs(vim.fn.getcompletion('g:', 'var')) do
      put(name)
    end
    return table.concat(all, '\n')
  ]])
end

-- Ends it as a person would, so that it writes its shada; waits for its end.
function Child:quit()
  -- typed, not commanded: what fails as a command is an error on the channel
  pcall(vim.fn.rpcnotify, self.id, 'nvim_input', '<C-\\><C-n>:qall!<CR>')
  for _ = 1, 20 do
    if vim.fn.jobwait({ self.job }, expect.PATIENCE_MS / 20)[1] ~= -1 then
      return
    end
    -- a message that wants Enter
    pcall(vim.fn.rpcnotify, self.id, 'nvim_input', '<CR>')
  end
  vim.fn.jobstop(self.job)
  error('Neovim did not end')
end

return M
