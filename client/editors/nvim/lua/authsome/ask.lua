-- Asking a person for something that must not stay: hidden, and in no register, history or file.
--
-- `inputsecret` keeps what is typed out of the screen, the history and shada. A macro that is being
-- recorded would take the keys all the same, and so would `nvim -w FILE`: then nothing is asked.

local M = {}

-- Why nothing secret can be typed now; nil if it can.
function M.overheard()
  if vim.fn.reg_recording() ~= '' then
    return 'a macro is being recorded, and would hold what you type; press q to end it, then try again'
  end
  for i, word in ipairs(vim.v.argv) do
    -- `-w20` is another option: the height of a window
    if i > 1 and (word:match('^%-[wW]$') or word:match('^%-[wW]%D')) then
      return ('Neovim was started with `%s`, which writes down every key'):format(word:sub(1, 2))
    end
  end
end

-- Asks for a secret; nil when the person gives up, or false and why where it cannot be asked.
function M.secret(prompt)
  local why = M.overheard()
  if why then
    return false, why
  end
  local good, typed = pcall(vim.fn.inputsecret, prompt)
  vim.cmd('redraw')
  return good and typed ~= '' and typed or nil
end

-- Asks for something that may be seen, and keeps it out of the history as well.
function M.open(prompt, completion)
  local good, typed = pcall(function()
    return completion and vim.fn.input(prompt, '', completion) or vim.fn.input(prompt)
  end)
  if good and typed ~= '' then
    vim.fn.histdel('input', -1)
  end
  vim.cmd('redraw')
  return good and typed ~= '' and typed or nil
end

return M
