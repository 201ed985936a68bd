-- Starting the daemon: `authsomed --detach`, and what it says of it.
--
-- It returns at once; the daemon keeps the pipes until it has spoken: `ready`, `already-running`, or
-- what is wrong, in words for people. Any number of clients may do this at once.

local uv = vim.uv or vim.loop

local M = {}

-- How long the daemon may take to say how it went, in milliseconds.
local START_MS = 10000

-- Most that is read of what it says, in bytes.
local OUTPUT_MAX = 16 * 1024

local function failure(program, cause, hint)
  return {
    code = 'unreachable',
    message = ('cannot start the daemon `%s`'):format(program),
    causes = { cause },
    hint = hint,
  }
end

-- What the daemon's words mean: true where one listens, else false and the failure. Pure.
function M.judge(said, program)
  local lines = {}
  for line in said:gmatch('[^\n]+') do
    if line == 'ready' or line == 'already-running' then
      return true
    elseif line:match('%S') then
      lines[#lines + 1] = line
    end
  end
  if #lines == 0 then
    return false, failure(program, 'it said nothing')
  end
  local told = { code = 'unreachable', causes = {} }
  for _, line in ipairs(lines) do
    local kind, rest = line:match('^%s*([%l ]+): (.*)$')
    if kind == 'error' and not told.message then
      told.message = rest
    elseif kind == 'hint' then
      told.hint = rest
    else
      told.causes[#told.causes + 1] = kind == 'caused by' and rest or vim.trim(line)
    end
  end
  told.message = told.message or 'the daemon did not start'
  return false, told
end

-- Starts `program` with the variables `env` ("NAME=value"), and calls back once, with nil or a failure.
function M.start(program, env, callback)
  local out, err, timer = uv.new_pipe(false), uv.new_pipe(false), uv.new_timer()
  local said, ends, done = '', 0, false
  local function finish(problem)
    if done then
      return
    end
    done = true
    for _, handle in ipairs({ out, err, timer }) do
      handle:close()
    end
    callback(problem)
  end
  local child, why
  child, why = uv.spawn(program, {
    args = { '--detach' },
    stdio = { nil, out, err },
    env = env,
    -- a Ctrl-C meant for the editor must not hit a daemon that others wait for
    detached = true,
  }, function()
    child:close()
  end)
  if not child then
    return finish(failure(program, why))
  end
  local function listen(error, bytes)
    if done then
      return
    end
    if bytes then
      said = said .. bytes
      local listens = M.judge(said:match('^.*\n') or '', program)
      if listens then
        return finish(nil)
      end
    else
      ends = ends + 1
    end
    if error or ends == 2 or #said > OUTPUT_MAX then
      local _, problem = M.judge(said, program)
      finish(problem)
    end
  end
  out:read_start(listen)
  err:read_start(listen)
  timer:start(START_MS, 0, function()
    finish(failure(program, ('it did not listen within %d s'):format(START_MS / 1000)))
  end)
end

return M
