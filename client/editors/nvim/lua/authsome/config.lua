-- What `setup` was told, and where the programs are.

local uv = vim.uv or vim.loop

local M = {}

M.VERSION = '0.1.0'

local told = {}

-- Takes the options of `setup`; wrong ones are an error that names them.
function M.set(options)
  for name, value in pairs(options or {}) do
    if name ~= 'path' and name ~= 'home' then
      error(('authsome: setup has no option `%s`; it takes `path` and `home`'):format(name), 0)
    elseif type(value) ~= 'string' then
      error(('authsome: the option `%s` of setup must be a string'):format(name), 0)
    end
  end
  options = options or {}
  if options.home and options.home:sub(1, 1) == '~' then
    options = vim.tbl_extend('force', options, { home = vim.fn.expand(options.home) })
  end
  told = options
end

-- The command line client as people call it.
function M.name()
  return told.path or 'authsome'
end

-- Its whole path; or nil and a failure.
function M.authsome()
  local path = vim.fn.exepath(told.path or 'authsome')
  if path ~= '' then
    return path
  end
  return nil,
    {
      code = 'unreachable',
      message = told.path and ('`%s` cannot be executed'):format(told.path) or '`authsome` is not in `PATH`',
      causes = {},
      hint = "install it, or say where it is: require('authsome').setup { path = '/…/authsome' }",
    }
end

-- The whole path of the daemon: beside the client, else in `PATH`; or nil and a failure.
function M.daemon()
  local client, failure = M.authsome()
  local folder = client and vim.fn.fnamemodify(uv.fs_realpath(client) or client, ':h')
  local beside = folder and vim.fn.exepath(folder .. '/authsomed') or ''
  local path = beside ~= '' and beside or vim.fn.exepath('authsomed')
  if path ~= '' then
    return path
  end
  return nil,
    failure or {
      code = 'unreachable',
      message = ('cannot find `authsomed` in `%s` or in `PATH`'):format(folder),
      causes = {},
      hint = 'install `authsomed` beside `authsome`',
    }
end

-- Variables that our children get on top of Neovim's own.
function M.extra()
  return told.home and { AUTHSOME_HOME = told.home } or {}
end

-- All variables. May be called where `vim.fn` may not.
function M.env()
  local env = uv.os_environ()
  for name, value in pairs(M.extra()) do
    env[name] = value
  end
  return env
end

return M
