-- `status`, `explain`, `unlock`: a question, and its answer in a buffer.

local ask = require('authsome.ask')
local panel = require('authsome.panel')
local view = require('authsome.view')

local uv = vim.uv or vim.loop

local M = {}

-- Name of a project's file, and most bytes of it.
local PROJECT_FILE = 'authsome.toml'
local PROJECT_MAX = 64 * 1024

local function show(name, lines)
  local old = vim.fn.bufnr('^authsome://' .. name .. '$')
  if old ~= -1 then
    panel.close(old)
  end
  local buffer = panel.buffer('authsome://' .. name, 'authsome')
  panel.split(buffer, #lines + 1)
  panel.put(buffer, 0, -1, lines)
  panel.key(buffer, 'q', 'close', function()
    panel.close(buffer)
  end)
end

function M.status(client)
  client:request('status', function(failure, _, status)
    if failure then
      return panel.fail(failure)
    end
    client:request('runs', function(problem, _, runs)
      if problem then
        return panel.fail(problem)
      end
      show('status', view.status(status, runs, os.time()))
    end)
  end)
end

-- The project file that `authsome run` would use here: the nearest one upwards, up to the home folder,
-- that is ours and that others cannot write to.
function M.project(from, home, uid)
  local folder = uv.fs_realpath(from)
  home = home and uv.fs_realpath(home)
  while folder do
    local owner = uv.fs_stat(folder)
    if not owner or (owner.uid ~= uid and owner.uid ~= 0) then
      return nil
    end
    local path = (folder == '/' and '' or folder) .. '/' .. PROJECT_FILE
    local found = uv.fs_stat(path)
    local trusted = found
      and found.type == 'file'
      and found.size <= PROJECT_MAX
      and (found.uid == uid or found.uid == 0)
      and math.floor(found.mode / 2) % 2 == 0 -- others may not write
    if trusted then
      local file = uv.fs_open(path, 'r', 0)
      local words = file and uv.fs_read(file, PROJECT_MAX, 0)
      if file then
        uv.fs_close(file)
      end
      if words then
        return { path = path, text = words }
      end
    end
    if folder == home or folder == '/' then
      return nil
    end
    folder = vim.fn.fnamemodify(folder, ':h')
  end
end

function M.explain(client, method, url)
  client:request({
    explain = {
      method = method,
      url = url,
      run = vim.NIL,
      connections = {},
      project = M.project(vim.fn.getcwd(), uv.os_homedir(), uv.getuid()) or vim.NIL,
    },
  }, function(failure, _, found)
    if failure then
      return panel.fail(failure)
    end
    show('explain', view.explained(found))
  end)
end

-- Gives the file store its passphrase; chooses one, typed twice, where it has none yet.
function M.unlock(client, choosing)
  local passphrase, why = ask.secret(choosing and 'choose a passphrase (hidden): ' or 'passphrase (hidden): ')
  if not passphrase then
    return why and panel.say(why, vim.log.levels.ERROR)
  end
  if choosing and ask.secret('again: ') ~= passphrase then
    return panel.say('the two differ; nothing was changed', vim.log.levels.ERROR)
  end
  client:request({ unlock = { passphrase = passphrase } }, function(failure)
    if failure then
      return panel.fail(failure)
    end
    panel.say('unlocked')
  end)
end

-- Asks the daemon whether a passphrase is to be chosen first.
function M.unlock_or_choose(client)
  client:request('connections', function(failure)
    M.unlock(client, failure ~= nil and failure.code == 'passphrase_wanted')
  end)
end

return M
