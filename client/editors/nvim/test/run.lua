-- Runs tests: `nvim --headless -u NONE -i NONE -c 'luafile test/run.lua'` from the plugin's folder.
--
-- `AUTHSOME_TESTS` names the files (`unit ui` unless set), `AUTHSOME_TEST` a part of a test's name.
-- A file gives a list of { name, function }. Everything runs in order; the exit code is 1 if one fails.

local here = vim.fn.fnamemodify(debug.getinfo(1, 'S').source:sub(2), ':p:h')
vim.opt.runtimepath:prepend(vim.fn.fnamemodify(here, ':h'))
package.path = here .. '/?.lua;' .. package.path
vim.o.swapfile = false

local function out(line)
  io.stdout:write(line .. '\n')
  io.stdout:flush()
end

local failed, ran = 0, 0
local wanted = os.getenv('AUTHSOME_TEST') or ''
for file in (os.getenv('AUTHSOME_TESTS') or 'unit ui'):gmatch('%S+') do
  local loaded, tests = xpcall(require, debug.traceback, file)
  for _, test in ipairs(loaded and tests or { { 'can be loaded', function() error(tests, 0) end } }) do
    local name, body = test[1], test[2]
    if name:find(wanted, 1, true) then
      ran = ran + 1
      local good, why = xpcall(body, debug.traceback)
      out(('%s %s: %s'):format(good and 'ok' or 'not ok', file, name))
      if not good then
        failed = failed + 1
        out((tostring(why):gsub('\n', '\n  ')))
      end
    end
  end
end
out(('%d ran, %d failed'):format(ran, failed))
-- no test at all is a failure too: a misspelt name must not pass
vim.cmd((failed > 0 or ran == 0) and 'cquit 1' or 'qall!')
