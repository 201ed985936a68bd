-- authsome for Neovim: logins, connections, runs and the audit log, over the daemon's socket.
--
-- What is where: `frame`, `hello`, `message`, `places`, `text`, `steps`, `view` are pure; `wire` is one
-- connection, `start` starts a daemon, `client` asks over whatever connection there is, `state` keeps
-- what is known. `panel` and `ask` are the two ways to a person; `login`, `list`, `log`, `run` and
-- `show` are what `command` offers.

local M = {}

local context

-- The client and what is known, made at the first use.
local function ready()
  if context then
    return context
  end
  local config = require('authsome.config')
  local state = require('authsome.state')
  local client = require('authsome.client').new({
    build = 'nvim-' .. config.VERSION,
    authsome = config.name(),
    env = config.env,
    daemon = config.daemon,
  })
  context = { client = client, state = state.new(client) }
  context.words = require('authsome.text').statusline(state.summary(context.state))
  context.state:on_change(function(known)
    local words = require('authsome.text').statusline(state.summary(known))
    if words ~= context.words then
      context.words = words
      vim.cmd('redrawstatus!')
    end
    require('authsome.list').changed(known)
  end)
  client:on_up(function()
    require('authsome.log').up(client)
  end)
  vim.api.nvim_create_autocmd('VimLeavePre', {
    callback = function()
      context.state:close()
      client:close()
    end,
  })
  return context
end

-- Optional. `path`: the `authsome` to use, else the one in `PATH`. `home`: another home than
-- `$AUTHSOME_HOME` or `~/.authsome`. To be called before anything else.
function M.setup(options)
  require('authsome.config').set(options)
  if context then
    context.state:close()
    context.client:close()
    context = nil
  end
end

-- Carries out `:Authsome {line}`.
function M.command(line)
  local here = ready()
  here.state:watch()
  require('authsome.command').run(here, line)
end

function M.complete(lead, line)
  return require('authsome.command').complete(ready(), lead, line)
end

-- A short text for the statusline, kept up to date by events. It never waits.
function M.statusline()
  local here = ready()
  if not here.state.watching then
    here.state:watch()
  end
  return here.words
end

-- The client and the state, for health checks and tests.
function M.context()
  return ready()
end

return M
