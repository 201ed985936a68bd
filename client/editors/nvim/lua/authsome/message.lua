-- Messages: JSON of the protocol, as values of Lua. Pure.
--
-- A variant without fields is a string, one with fields a table of one key; `variant` takes both
-- apart. `null` comes in as nil and goes out as `vim.NIL`.

local M = {}

-- Whether bytes are UTF-8. The daemon hangs up on what is not, and says nothing.
function M.is_utf8(text)
  local at, len = 1, #text
  while at <= len do
    local byte = text:byte(at)
    local more, low, high = 0, 0x80, 0xbf
    if byte >= 0xc2 and byte <= 0xdf then
      more = 1
    elseif byte >= 0xe0 and byte <= 0xef then
      more = 2
      low = byte == 0xe0 and 0xa0 or low
      high = byte == 0xed and 0x9f or high
    elseif byte >= 0xf0 and byte <= 0xf4 then
      more = 3
      low = byte == 0xf0 and 0x90 or low
      high = byte == 0xf4 and 0x8f or high
    elseif byte >= 0x80 then
      return false
    end
    for i = 1, more do
      local next_byte = text:byte(at + i)
      if not next_byte or next_byte < low or next_byte > high then
        return false
      end
      low, high = 0x80, 0xbf
    end
    at = at + 1 + more
  end
  return true
end

local function encode(value)
  local good, text = pcall(vim.json.encode, value)
  if not good then
    return nil, 'it cannot be written as JSON'
  elseif not M.is_utf8(text) then
    return nil, 'it holds bytes that are no UTF-8'
  end
  return text
end

-- A request's payload, or nil and why there is none. The reason never holds what was to be sent.
function M.request(id, request)
  return encode({ request = { id = id, request = request } })
end

function M.cancel(id)
  return encode({ cancel = { id = id } })
end

-- Name and fields of a variant; nil for what is none.
function M.variant(value)
  if type(value) == 'string' then
    return value, {}
  elseif type(value) == 'table' then
    local name, fields = next(value)
    if type(name) == 'string' and next(value, name) == nil then
      return name, fields
    end
  end
end

local function strings(value)
  local all = {}
  for _, one in ipairs(type(value) == 'table' and value or {}) do
    all[#all + 1] = tostring(one)
  end
  return all
end

-- An error of the daemon, with every field in its place.
local function failure(value)
  if type(value) ~= 'table' then
    value = {}
  end
  return {
    code = type(value.code) == 'string' and value.code or 'unknown',
    message = type(value.message) == 'string' and value.message or 'the daemon refused, and did not say why',
    causes = strings(value.causes),
    hint = type(value.hint) == 'string' and value.hint or nil,
  }
end

-- What a frame of the daemon says:
-- { kind = 'answer', id, failure } or { kind = 'answer', id, name, fields },
-- { kind = 'event', id, name, fields }; nil and why if it says nothing that can be understood.
function M.decode(payload)
  local good, value = pcall(vim.json.decode, payload, { luanil = { object = true } })
  if not good then
    return nil, 'it is no JSON'
  end
  local kind, body = M.variant(value)
  if (kind ~= 'answer' and kind ~= 'event') or type(body) ~= 'table' or type(body.id) ~= 'number' then
    return nil, 'it is neither an answer nor an event'
  end
  local said = { kind = kind, id = body.id }
  if kind == 'event' then
    said.name, said.fields = M.variant(body.event)
    return said
  end
  local result = type(body.result) == 'table' and body.result or {}
  if result.Ok ~= nil then
    said.name, said.fields = M.variant(result.Ok)
  else
    said.failure = failure(result.Err)
  end
  if not said.name and not said.failure then
    said.failure = failure(nil)
  end
  return said
end

return M
