-- The user at the other end of a socket, as the kernel knows it.
--
-- Neovim's own interface cannot ask. Built with LuaJIT, as nearly always, it can call the C library:
-- `getsockopt(SO_PEERCRED)` on Linux, `getpeereid` on macOS and the BSDs. Where neither works,
-- nothing is known, and only the owner and mode of the socket's folder speak for it.

local M = {}

local declared = false

local function declare(ffi)
  if not declared then
    ffi.cdef([[
      int getsockopt(int, int, int, void *, unsigned int *);
      int getpeereid(int, unsigned int *, unsigned int *);
    ]])
    declared = true
  end
  return ffi
end

-- Linux gives the option another number on some processors; on these it is 17.
local LINUX = { x64 = true, x86 = true, arm = true, arm64 = true }

local function linux(ffi, fd)
  local credentials = ffi.new('unsigned int[3]') -- process, user, group
  local len = ffi.new('unsigned int[1]', 12)
  if ffi.C.getsockopt(fd, 1, 17, credentials, len) == 0 and len[0] == 12 then
    return tonumber(credentials[1])
  end
end

local function others(ffi, fd)
  local user, group = ffi.new('unsigned int[1]'), ffi.new('unsigned int[1]')
  if ffi.C.getpeereid(fd, user, group) == 0 then
    return tonumber(user[0])
  end
end

-- The user id behind a connected pipe; nil where nobody can tell.
function M.uid(pipe)
  local loaded, ffi = pcall(require, 'ffi')
  local fd = pipe:fileno()
  if not loaded or not fd then
    return nil
  end
  local asked, uid = pcall(function()
    declare(ffi)
    if ffi.os ~= 'Linux' then
      return others(ffi, fd)
    end
    return LINUX[ffi.arch] and linux(ffi, fd) or nil
  end)
  return asked and uid or nil
end

return M
