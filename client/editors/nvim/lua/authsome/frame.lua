-- Frames: a length of four bytes, big-endian, and that many bytes. Pure.
--
-- A reader takes bytes as they come, in any pieces, and gives whole frames. A length over the limit
-- is an error at once, before anything of that size is kept; nothing is read after an error.

local M = {}

-- Most bytes of a frame after the opening, and of the opening itself.
M.MAX = 1024 * 1024
M.OPENING_MAX = 512

-- The bytes of a frame, or nil and why there are none.
function M.encode(payload, max)
  local len = #payload
  if len > (max or M.MAX) then
    return nil, ('a frame of %d bytes is over the limit of %d'):format(len, max or M.MAX)
  end
  local byte = function(power)
    return math.floor(len / power) % 256
  end
  return string.char(byte(16777216), byte(65536), byte(256), byte(1)) .. payload
end

local Reader = {}
Reader.__index = Reader

-- A reader of frames of at most `max` bytes; its field `max` may change between two frames.
function M.reader(max)
  return setmetatable({ max = max or M.MAX, held = '', broken = nil }, Reader)
end

function Reader:push(bytes)
  if not self.broken then
    self.held = self.held .. bytes
  end
end

-- The next whole frame, nil if there is none yet, or nil and what is wrong.
function Reader:next()
  if self.broken then
    return nil, self.broken
  end
  if #self.held < 4 then
    return nil
  end
  local a, b, c, d = self.held:byte(1, 4)
  local len = ((a * 256 + b) * 256 + c) * 256 + d
  if len > self.max then
    self.held = ''
    self.broken = ('a frame of %d bytes is over the limit of %d'):format(len, self.max)
    return nil, self.broken
  end
  if #self.held < 4 + len then
    return nil
  end
  local payload = self.held:sub(5, 4 + len)
  self.held = self.held:sub(5 + len)
  return payload
end

return M
