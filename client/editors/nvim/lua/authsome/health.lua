-- `:checkhealth authsome`: programs, home, daemon, and what the daemon's own doctor says.

local browse = require('authsome.browse')
local config = require('authsome.config')
local places = require('authsome.places')
local text = require('authsome.text')

local M = {}

-- How long the daemon may take, in milliseconds. Its doctor asks the keyring.
local WAIT_MS = 15000

local report = vim.health or require('health')
local start = report.start or report.report_start
local ok = report.ok or report.report_ok
local warn = report.warn or report.report_warn
local fail = report.error or report.report_error

local function told(failure)
  local lines = text.failure(failure)
  fail(table.concat(lines, '\n'))
end

local function ask(client, request)
  local done, failure, fields
  client:request(request, function(problem, _, answer)
    done, failure, fields = true, problem, answer
  end, { deadline = WAIT_MS })
  vim.wait(WAIT_MS + 1000, function()
    return done
  end, 20)
  return failure, fields
end

function M.check()
  start('authsome: programs')
  local authsome, failure = config.authsome()
  if authsome then
    ok(('`%s`'):format(authsome))
  else
    told(failure)
  end
  local daemon
  daemon, failure = config.daemon()
  if daemon then
    ok(('`%s`'):format(daemon))
  else
    told(failure)
  end
  if pcall(require, 'ffi') then
    ok('the kernel is asked whose process listens')
  else
    warn("this Neovim has no LuaJIT: the kernel cannot be asked whose process listens; the folder's owner and mode are checked")
  end
  if browse.possible() then
    ok('logins open a browser')
  else
    ok('no browser here: logins ask in the editor')
  end

  start('authsome: daemon')
  local where
  where, failure = places.resolve(config.env(), places.system())
  if not where then
    return told(failure)
  end
  ok(('home `%s`'):format(text.printable(where.home)))
  local client = require('authsome').context().client
  local status
  failure, status = ask(client, 'status')
  if failure or not status then
    return told(failure or { message = 'the daemon did not answer', causes = {} })
  end
  ok(('daemon %s, process %d, at `%s`'):format(text.printable(status.version), status.pid, text.printable(status.socket)))
  local checks
  failure, checks = ask(client, 'doctor')
  if failure or not checks then
    return told(failure or { message = 'the doctor did not answer', causes = {} })
  end
  for _, check in ipairs(checks) do
    local words = ('%s: %s'):format(text.printable(check.name), text.printable(check.found))
    local advice = check.remedy and { text.printable(check.remedy) } or nil
    if check.outcome == 'ok' then
      ok(words)
    elseif check.outcome == 'warning' then
      warn(words, advice)
    else
      fail(words, advice)
    end
  end
end

return M
