-- Where the daemon is: home, lock note, runtime folder, socket; and whether that may be trusted.
--
-- 1. The home is `$AUTHSOME_HOME`, else `$HOME/.authsome`.
-- 2. `home/daemon.lock` names the socket of the daemon that serves the home. It is read only if it
--    is a plain file of ours: a link or a pipe could lead elsewhere, or block.
-- 3. Without a note the socket is in the runtime folder of our own environment.
-- 4. The socket's folder must be a folder of ours that nobody else can write to.
--
-- Pure but for the `system` that is handed in: { uid, lstat(path), read(path) }.

local bit = require('bit')

local M = {}

-- Longest path of a socket address on the smallest platform.
local SOCKET_PATH_MAX = 103

-- Largest lock note that is read, in bytes.
M.NOTE_MAX = 4096

local function failure(message, cause, hint)
  return { code = 'unreachable', message = message, causes = { cause }, hint = hint }
end

-- FNV-1a over 64 bits, as 16 hex digits. In two halves of 32 bits, since a number of Lua holds 53.
function M.fnv1a(text)
  local high, low = 0xcbf29ce4, 0x84222325
  for i = 1, #text do
    low = bit.bxor(low, text:byte(i)) % 0x100000000
    -- times 2^40 + 0x1b3
    local product = low * 0x1b3
    high = (high * 0x1b3 + low * 0x100 + math.floor(product / 0x100000000)) % 0x100000000
    low = product % 0x100000000
  end
  return ('%s%s'):format(bit.tohex(high), bit.tohex(low))
end

-- A lock note's socket and process id; nil for anything that is no note.
function M.parse_note(text)
  local pid, socket = text:match('^pid (%d+)\nsocket (/[^\n]*)\n$')
  if pid then
    return { pid = tonumber(pid), socket = socket }
  end
end

-- Home and socket by an environment, a table of variables: { home, lock, socket }. Or nil and why.
function M.resolve(env, system)
  local set = {}
  for _, name in ipairs({ 'AUTHSOME_HOME', 'HOME', 'XDG_RUNTIME_DIR' }) do
    local value = env[name]
    if value and value ~= '' then
      if value:sub(1, 1) ~= '/' then
        return nil,
          failure(
            'cannot tell where the home of authsome is',
            ('`%s` must be an absolute path, not `%s`'):format(name, value)
          )
      end
      set[name] = value
    end
  end
  local ordinary = set.HOME and (set.HOME:gsub('/+$', '') .. '/.authsome')
  local home = set.AUTHSOME_HOME or ordinary
  if not home then
    return nil,
      failure('cannot tell where the home of authsome is', 'neither `AUTHSOME_HOME` nor `HOME` is set')
  end
  local base = set.XDG_RUNTIME_DIR
  if not base then
    local path = '/run/user/' .. system.uid
    local found = system.lstat(path)
    if found and found.type == 'directory' and found.uid == system.uid then
      base = path
    end
  end
  local runtime = home .. '/run'
  if base then
    runtime = base .. (home == ordinary and '/authsome' or '/authsome-' .. M.fnv1a(home))
  end
  local socket = runtime .. '/control.sock'
  if #socket > SOCKET_PATH_MAX then
    return nil,
      failure(
        'cannot tell where the daemon listens',
        ('the path `%s` is longer than the %d bytes that a socket address holds'):format(socket, SOCKET_PATH_MAX),
        'choose a shorter `AUTHSOME_HOME` or `XDG_RUNTIME_DIR`'
      )
  end
  return { home = home, lock = home .. '/daemon.lock', socket = socket }
end

-- The socket to try, and the note that named it, if one did.
function M.socket(places, system)
  local found = system.lstat(places.lock)
  if found and found.type == 'file' and found.uid == system.uid then
    local text = system.read(places.lock, found)
    local note = text and M.parse_note(text)
    if note then
      return note.socket, note
    end
  end
  return places.socket
end

-- Whether a socket may be used: nil if so, else why not. What is not there is for `connect` to tell.
function M.distrust(socket, system)
  local folder = socket:match('^(.*)/[^/]*$')
  if folder == '' then
    folder = '/'
  end
  local function refuse(path, why)
    return failure(
      ('will not use `%s`: %s'):format(path, why),
      nil,
      'choose a private directory, or `chmod 700` this one if it is yours'
    )
  end
  local found = system.lstat(folder)
  if not found then
    return nil
  elseif found.type == 'link' then
    return refuse(folder, 'it is a symbolic link')
  elseif found.type ~= 'directory' then
    return refuse(folder, 'it is not a folder')
  elseif found.uid ~= system.uid then
    return refuse(folder, ('it belongs to user %d, not to you'):format(found.uid))
  elseif bit.band(found.mode, 18) ~= 0 then -- 0022: group and others may write
    return refuse(folder, ('other users can write there (mode %s)'):format(M.octal(found.mode)))
  end
  found = system.lstat(socket)
  if found and found.uid ~= system.uid then
    return refuse(socket, ('it belongs to user %d, not to you'):format(found.uid))
  end
end

-- The permissions of a mode, as people write them.
function M.octal(mode)
  return ('%04o'):format(mode % 4096)
end

-- The system of this process.
function M.system()
  local uv = vim.uv or vim.loop
  return {
    uid = uv.getuid(),
    lstat = function(path)
      return (uv.fs_lstat(path))
    end,
    read = function(path, seen)
      local file = uv.fs_open(path, 'r', 0)
      if not file then
        return nil
      end
      local now = uv.fs_fstat(file)
      local text
      -- the same file that was looked at: there is no flag against links in this interface
      if now and now.type == 'file' and now.ino == seen.ino and now.dev == seen.dev then
        text = uv.fs_read(file, M.NOTE_MAX, 0)
      end
      uv.fs_close(file)
      return text
    end,
  }
end

return M
