-- Texts for people. Pure. What others wrote is data here: made harmless before it is shown.

local M = {}

local LINE_MAX = 2000

-- One line without control characters: they could move a cursor, or end a line of a buffer. The
-- marks that turn the direction of writing go too, with which one host can be made to look like
-- another.
function M.printable(text)
  text = tostring(text == nil and '' or text)
  if #text > LINE_MAX then
    text = text:sub(1, LINE_MAX):gsub('[\192-\255][\128-\191]*$', '') .. '…'
  end
  text = text:gsub('[%z\1-\31\127]', '�')
  text = text:gsub('\194[\128-\159]', '�')
  text = text:gsub('\226\128[\142\143\168-\174]', '�'):gsub('\226\129[\166-\169]', '�')
  return (text:gsub('\216\156', '�'))
end

-- For a statusline, where `%` begins an item that may run code.
function M.statusline(text)
  return (M.printable(text):gsub('%%', '%%%%'))
end

-- `1 run`, `2 runs`.
function M.count(number, one, many)
  return ('%d %s'):format(number, number == 1 and one or many)
end

-- Seconds since 1970 of a time in RFC 3339, UTC; nil if it is none.
function M.seconds(time)
  local year, month, day, hour, minute, second =
    tostring(time):match('^(%d%d%d%d)%-(%d%d)%-(%d%d)T(%d%d):(%d%d):(%d%d)[%.%d]*Z$')
  if not year then
    return nil
  end
  year, month, day = tonumber(year), tonumber(month), tonumber(day)
  -- days since 1970, counted from March so that a leap day is the last of its year
  local y = month <= 2 and year - 1 or year
  local era = math.floor(y / 400)
  local of_year = math.floor((153 * ((month + 9) % 12) + 2) / 5) + day - 1
  local of_era = (y % 400) * 365 + math.floor(y % 400 / 4) - math.floor(y % 400 / 100) + of_year
  local days = era * 146097 + of_era - 719468
  return ((days * 24 + tonumber(hour)) * 60 + tonumber(minute)) * 60 + tonumber(second)
end

-- A length of time by its one or two largest units.
function M.span(seconds)
  if seconds < 60 then
    return ('%d s'):format(seconds)
  elseif seconds < 3600 then
    return ('%d min'):format(math.floor(seconds / 60))
  elseif seconds < 86400 then
    local minutes = math.floor(seconds % 3600 / 60)
    return ('%d h'):format(math.floor(seconds / 3600)) .. (minutes > 0 and (' %d min'):format(minutes) or '')
  end
  return M.count(math.floor(seconds / 86400), 'day', 'days')
end

-- How long ago, or ahead, a time is; what is no time is shown as it is.
function M.when(time, now)
  local at = M.seconds(time)
  if not at then
    return M.printable(time)
  end
  local ahead = at - now
  if math.abs(ahead) < 3 then
    return 'just now'
  end
  return ahead > 0 and 'in ' .. M.span(ahead) or M.span(-ahead) .. ' ago'
end

-- `9:42`, for what is left of a login.
function M.clock(seconds)
  seconds = math.max(0, math.floor(seconds))
  return ('%d:%02d'):format(math.floor(seconds / 60), seconds % 60)
end

-- A failure as lines: what, why, the way out.
function M.failure(failure)
  local lines = { M.printable(failure.message) }
  for _, cause in ipairs(failure.causes or {}) do
    lines[#lines + 1] = '  caused by: ' .. M.printable(cause)
  end
  if failure.hint then
    lines[#lines + 1] = 'hint: ' .. M.printable(failure.hint)
  end
  if failure.code == 'passphrase_needed' or failure.code == 'passphrase_wanted' then
    lines[#lines + 1] = 'hint: here it is `:Authsome unlock`'
  end
  return lines
end

local STORES = { file = 'encrypted files', keyring = 'the keyring' }

-- A login that is done.
function M.logged_in(done, now)
  local parts = {
    ('connected: %s (%s)'):format(M.printable(done.provider), M.printable(done.connection)),
    (done.replaced and 'replaced in ' or 'stored in ') .. (STORES[done.store] or M.printable(done.store)),
  }
  local put = function(text)
    parts[#parts + 1] = text
  end
  if done.renews then
    put('renews itself')
  elseif done.expires_at then
    put('expires ' .. M.when(done.expires_at, now))
  end
  if #(done.variables or {}) > 0 then
    put('programs see ' .. M.printable(table.concat(done.variables, ', ')))
  end
  if (done.runs or 0) > 0 then
    put('works at once in ' .. M.count(done.runs, 'living run', 'living runs'))
  end
  return table.concat(parts, '; ')
end

-- A line of the audit log for people; of a later release, as far as it is understood.
function M.record(line)
  local good, record = pcall(vim.json.decode, line, { luanil = { object = true } })
  if not good or type(record) ~= 'table' then
    return M.printable(line)
  end
  local word = function(name)
    local value = record[name]
    if type(value) == 'string' or type(value) == 'number' then
      local text = M.printable(value)
      return text ~= '' and text or nil
    end
  end
  local at = M.seconds(record.time)
  local parts = {
    ('%-19s'):format(at and os.date('%Y-%m-%d %H:%M:%S', at) or word('time') or ''),
    ('%-10s'):format(word('event') or ''),
  }
  local put = function(text)
    parts[#parts + 1] = text
  end
  local provider, connection = word('provider'), word('connection')
  put(provider and connection and ('%s (%s)'):format(provider, connection) or provider)
  put(word('webhook') and 'webhook ' .. word('webhook'))
  if word('host') then
    put((word('method') and word('method') .. ' ' or '') .. word('host') .. (word('path') or ''))
  end
  put(word('code'))
  put(word('status'))
  if word('program') then
    put('by ' .. word('program') .. (word('run') and ' in ' .. word('run') or ''))
  end
  return (table.concat(parts, '  '):gsub('%s+$', ''))
end

return M
