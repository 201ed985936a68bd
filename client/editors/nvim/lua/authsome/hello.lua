-- The opening exchange: magic, lowest and highest version, encoding, build. Frozen for ever. Pure.

local M = {}

local MAGIC = 'AUTHSOME'

-- Versions that this plugin speaks.
M.LOWEST = 1
M.HIGHEST = 1

M.JSON = 2

local function two(number)
  return string.char(math.floor(number / 256) % 256, number % 256)
end

-- The payload of our opening; `build` is for messages only.
function M.encode(build)
  build = build:sub(1, 255)
  return MAGIC .. two(M.LOWEST) .. two(M.HIGHEST) .. string.char(M.JSON, #build) .. build
end

-- What an opening says, or nil and why it is none. Bytes behind the build are ignored.
function M.decode(payload)
  if #payload < 14 or payload:sub(1, 8) ~= MAGIC then
    return nil, 'what listens there is not an authsome daemon'
  end
  local l1, l2, h1, h2, encoding, len = payload:byte(9, 14)
  if #payload < 14 + len then
    return nil, 'its greeting is cut short'
  end
  return {
    lowest = l1 * 256 + l2,
    highest = h1 * 256 + h2,
    encoding = encoding,
    build = payload:sub(15, 14 + len),
  }
end

-- The version to speak with a daemon, or nil if none is shared.
function M.agree(theirs)
  local version = math.min(M.HIGHEST, theirs.highest)
  if version >= math.max(M.LOWEST, theirs.lowest) then
    return version
  end
end

local function range(lowest, highest)
  return lowest == highest and tostring(lowest) or ('%d to %d'):format(lowest, highest)
end

-- Why nothing can be said to a daemon of another version, with the command that mends it.
-- `authsome` is how the command line client is called here.
function M.skew(theirs, authsome)
  local hint
  if theirs.highest < M.LOWEST then
    hint = ('an older daemon is still running; `%s daemon restart` replaces it'):format(authsome)
  else
    hint = ('a newer daemon is running (build %s); update this plugin to the version that came with it,')
      :format(theirs.build)
      .. (' or run `%s daemon restart` if an older authsome was put back'):format(authsome)
  end
  return {
    code = 'version',
    message = ('this plugin speaks protocol %s; the daemon speaks %s'):format(
      range(M.LOWEST, M.HIGHEST),
      range(theirs.lowest, theirs.highest)
    ),
    causes = {},
    hint = hint,
  }
end

return M
