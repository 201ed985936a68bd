-- What tests say: two values are alike, a text holds another, something comes true in time.

local M = {}

-- How long anything may take, in milliseconds. A busy machine is slow; nothing waits longer than it must.
M.PATIENCE_MS = 20000

function M.same(found, wanted, what)
  if not vim.deep_equal(found, wanted) then
    error(('%s\n  found:  %s\n  wanted: %s'):format(what or 'not alike', vim.inspect(found), vim.inspect(wanted)), 2)
  end
end

function M.holds(words, part)
  if not tostring(words):find(part, 1, true) then
    error(('%q is not in:\n%s'):format(part, tostring(words)), 2)
  end
end

function M.lacks(words, part)
  if tostring(words):find(part, 1, true) then
    error(('%q is in:\n%s'):format(part, tostring(words)), 2)
  end
end

-- Waits until `check` gives something, and gives that.
function M.soon(what, check, tell)
  local found
  local good = vim.wait(M.PATIENCE_MS, function()
    found = check()
    return found ~= nil and found ~= false
  end, 20)
  if not good then
    error(('waited in vain for %s%s'):format(what, tell and '\n' .. tostring(tell()) or ''), 2)
  end
  return found
end

return M
