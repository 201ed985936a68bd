-- Opening a page in the browser.
--
-- Addresses come from servers. Only http and https are opened, and an address is one argument of the
-- opener, never part of a command line.

local uv = vim.uv or vim.loop

local M = {}

-- Whether an address is one of the web and nothing else. Pure.
function M.is_web(url)
  return type(url) == 'string'
    and #url <= 16384
    and url:match('^[Hh][Tt][Tt][Pp][Ss]?://[%w%[]') ~= nil
    and not url:find('[%c%s"\'<>\\^`{|}]')
end

local function opener()
  for _, name in ipairs(vim.fn.has('mac') == 1 and { 'open' } or { 'xdg-open', 'wslview' }) do
    local path = vim.fn.exepath(name)
    if path ~= '' then
      return path
    end
  end
end

-- Whether a browser on this machine can show somebody something.
function M.possible()
  local set = function(name)
    local value = uv.os_getenv(name)
    return value ~= nil and value ~= ''
  end
  if set('SSH_CONNECTION') or set('SSH_TTY') then
    return false
  end
  return opener() ~= nil
    and (vim.fn.has('mac') == 1 or set('DISPLAY') or set('WAYLAND_DISPLAY') or set('BROWSER') or set('WSL_DISTRO_NAME'))
end

-- Opens an address; false and why if not.
function M.open(url)
  if not M.is_web(url) then
    return false, 'that address is not one of the web; it was not opened'
  end
  if vim.ui.open then
    local started, why = vim.ui.open(url)
    return started ~= nil, why
  end
  local program = opener()
  if not program then
    return false, 'no program opens addresses here'
  end
  return vim.fn.jobstart({ program, url }, { detach = true }) > 0, 'the browser could not be started'
end

return M
