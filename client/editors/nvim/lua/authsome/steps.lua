-- What a login shows: its step, what is waited for, the keys that do something. Pure.

local message = require('authsome.message')
local text = require('authsome.text')

local M = {}

-- What is asked for, as people call it.
local NOUNS = {
  api_key = 'the key',
  signing_secret = 'the signing secret',
  client = 'the OAuth client',
  service_account = "the service account's key file",
  cookies = 'the cookies',
}

function M.noun(asks)
  return NOUNS[message.variant(asks)] or 'what it asks for'
end

-- The page of a step, the one that has the code in it already where there is one.
function M.page(step)
  local _, fields = message.variant(step)
  return fields and (fields.url_with_code or fields.url)
end

local WAITING = {
  form = 'waiting for the form',
  enter = 'waiting for you',
  authorize = 'waiting for the browser',
  device = 'waiting for the code to be entered',
  wait = 'waiting for the server',
}

local BUSY = { exchanging = 'getting tokens', storing = 'storing' }

-- Letters that can be told from each other across a room.
local function large(code)
  return (text.printable(code):gsub('[%z\1-\127\194-\244][\128-\191]*', '%0 '):gsub(' $', ''))
end

local function keys(session)
  local step = message.variant(session.step)
  if session.outcome then
    return { { 'q', 'AuthsomeKey' }, { ' close', 'AuthsomeQuiet' } }
  end
  local line = {}
  local put = function(key, does)
    line[#line + 1] = { key, 'AuthsomeKey' }
    line[#line + 1] = { ' ' .. does .. '   ', 'AuthsomeQuiet' }
  end
  if M.page(session.step) then
    put('o', 'open the page')
    put('y', 'copy its address')
  end
  if step == 'authorize' then
    put('p', 'paste the address it ended at')
  end
  -- while a line is asked for, keys go there
  put(step == 'enter' and 'Esc' or 'q', 'cancel')
  return line
end

-- The lines of a step.
local function body(session)
  local step, fields = message.variant(session.step)
  local name = session.name
  local link = function(url)
    return { '  ', { url, 'AuthsomeLink' } }
  end
  if step == 'form' then
    local opened = session.opened and 'a page in your browser asks for %s:' or 'open this page; it asks for %s:'
    local lines = { opened:format(M.noun(fields.asks)), link(fields.url) }
    if fields.moved_from then
      lines[#lines + 1] = {
        { ('port %d is taken by another program; the page moved to a free one'):format(fields.moved_from), 'AuthsomeCareful' },
      }
    end
    return lines
  elseif step == 'authorize' then
    local first = ('open this address in any browser and log in to %s there:'):format(name)
    if session.led_to then
      first = ('the page leads on to %s, at this address:'):format(name)
    elseif session.opened then
      first = ('log in to %s in your browser; its address is:'):format(name)
    end
    local lines = { first, link(fields.url) }
    if not (fields.listens and (session.opened or session.led_to)) then
      lines[#lines + 1] = {
        fields.listens and 'if that browser is not on this machine, press ' or 'then press ',
        { 'p', 'AuthsomeKey' },
        ' and paste the address that it ends at; it begins with',
      }
      lines[#lines + 1] = link(fields.redirect_uri)
    end
    return lines
  elseif step == 'device' then
    return {
      'enter this code:',
      '',
      { '   ', { ('  %s  '):format(large(fields.code)), 'AuthsomeCode' }, { '  copied', 'AuthsomeQuiet' } },
      '',
      'at this page; compare the two if it shows one:',
      link(fields.url),
    }
  elseif step == 'enter' then
    local lines = M.guide(session, fields.asks)
    lines[#lines + 1] = ('%s for %s is asked for below'):format(M.noun(fields.asks), name)
    return lines
  end
  return { ('%s is asked'):format(name) }
end

-- A login as lines. `session`: name, connection, step, opened, led_to, busy, rejected, until_at (seconds),
-- outcome { good, lines }.
function M.lines(session, now)
  local lines = {
    { { ('Log in to %s'):format(session.name), 'AuthsomeTitle' }, { ('  %s'):format(session.connection), 'AuthsomeQuiet' } },
    '',
  }
  if session.outcome then
    for _, line in ipairs(session.outcome.lines) do
      lines[#lines + 1] = { { line, session.outcome.good and 'AuthsomeGood' or 'AuthsomeBad' } }
    end
  else
    vim.list_extend(lines, body(session))
    if session.rejected then
      lines[#lines + 1] = ''
      lines[#lines + 1] = { { 'not taken: ' .. session.rejected, 'AuthsomeBad' } }
    end
    lines[#lines + 1] = ''
    local busy = BUSY[session.busy]
    local waiting = busy or WAITING[message.variant(session.step)] or 'waiting'
    lines[#lines + 1] = {
      { waiting .. ' …', 'AuthsomeGood' },
      { busy and '' or ('  %s left'):format(text.clock(session.until_at - now)), 'AuthsomeQuiet' },
    }
  end
  lines[#lines + 1] = ''
  lines[#lines + 1] = keys(session)
  return vim.tbl_map(function(line)
    local parts = type(line) == 'table' and line or { line }
    return vim.list_extend({ ' ' }, parts)
  end, lines)
end

-- What a person must know before something is asked: where to get it, what to enter there.
function M.guide(session, asks)
  local kind, fields = message.variant(asks)
  local lines = {}
  local put = function(...)
    lines[#lines + 1] = { ... }
  end
  for _, url in ipairs(session.key_urls) do
    put(kind == 'client' and 'make an OAuth client at ' or 'get a key at ', { url, 'AuthsomeLink' })
  end
  if session.hint then
    put(session.hint)
  end
  if kind == 'client' and fields.redirect_uri then
    put('its redirect URI (callback URL) must be exactly:')
    put('  ', { fields.redirect_uri, 'AuthsomeLink' })
  elseif kind == 'cookies' then
    put('log in at ', { fields.entry_url, 'AuthsomeLink' }, ' in a browser;')
    put('the values are in its developer tools (F12), under Application or Storage')
  end
  return lines
end

return M
