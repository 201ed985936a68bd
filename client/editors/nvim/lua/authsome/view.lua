-- Tables and texts of what the daemon tells, as lines for `panel`. Pure.

local text = require('authsome.text')

local M = {}

local MOODS = {
  connected = 'AuthsomeGood',
  expiring = 'AuthsomeCareful',
}

-- Until when a connection is good.
local function expiry(one, now)
  if one.state == 'needs_login' or one.state == 'revoked' then
    return ''
  elseif one.state == 'expired' then
    return 'expired'
  elseif one.renews then
    return 'renews'
  end
  return one.expires_at and text.when(one.expires_at, now) or ''
end

-- Rows of cells under heads, as wide as they must be; a cell is a text or { text, group }.
local function columns(heads, rows)
  local words = function(cell)
    return text.printable(type(cell) == 'table' and cell[1] or cell)
  end
  local widths = {}
  for i, head in ipairs(heads) do
    widths[i] = #head
    for _, row in ipairs(rows) do
      widths[i] = math.max(widths[i], vim.fn.strdisplaywidth(words(row[i])))
    end
  end
  local function line(cells, group)
    local parts = { ' ' }
    for i, cell in ipairs(cells) do
      local plain = words(cell)
      parts[#parts + 1] = { plain, type(cell) == 'table' and cell[2] or group }
      parts[#parts + 1] = i < #cells and (' '):rep(widths[i] - vim.fn.strdisplaywidth(plain) + 2) or ''
    end
    return parts
  end
  local lines = { line(heads, 'AuthsomeHead') }
  for _, row in ipairs(rows) do
    lines[#lines + 1] = line(row)
  end
  return lines
end

-- The connections as a table: lines, and which line shows which connection.
function M.connections(connections, now)
  if #connections == 0 then
    return { { ' no connections yet; ', { ':Authsome login', 'AuthsomeKey' }, ' makes one' } }, {}
  end
  local rows, at = {}, {}
  for i, one in ipairs(connections) do
    rows[i] = {
      one.provider,
      one.connection .. (one.is_default and ' *' or ''),
      { one.state:gsub('_', ' '), MOODS[one.state] or 'AuthsomeBad' },
      expiry(one, now),
      one.last_used and text.when(one.last_used, now) or 'never',
      { table.concat(one.variables or {}, ' '), 'AuthsomeQuiet' },
    }
    at[i + 1] = one
  end
  return columns({ 'PROVIDER', 'CONNECTION', 'STATE', 'EXPIRES', 'LAST USED', 'PROGRAMS SEE' }, rows), at
end

-- Names and values below each other.
local function pairs_of(rows)
  local lines, width = {}, 0
  for _, row in ipairs(rows) do
    width = math.max(width, #row[1])
  end
  for _, row in ipairs(rows) do
    lines[#lines + 1] = { ' ', { row[1], 'AuthsomeHead' }, (' '):rep(width - #row[1] + 2), { row[2], row[3] } }
  end
  return lines
end

function M.status(status, runs, now)
  local vault = status.vault
  local lines = pairs_of({
    { 'daemon', ('%s, process %d, started %s'):format(status.version, status.pid, text.when(status.started_at, now)) },
    { 'home', status.home },
    { 'socket', status.socket },
    { 'vault', vault.problem and vault.problem or vault.store, vault.problem and 'AuthsomeBad' or nil },
    { 'proxy', status.proxy_port and ('port %d'):format(status.proxy_port) or 'not needed yet' },
    { 'connections', tostring(status.connections) },
    { 'runs', ('%d living'):format(#runs) },
  })
  if vault.problem and vault.hint then
    lines[#lines + 1] = { ' hint: ', vault.hint }
  end
  for _, warning in ipairs(status.warnings) do
    lines[#lines + 1] = { ' ', { 'warning: ' .. warning, 'AuthsomeCareful' } }
  end
  if #runs > 0 then
    local rows = {}
    for i, run in ipairs(runs) do
      local granted = {}
      for j, pair in ipairs(run.granted) do
        granted[j] = pair[1] .. (pair[2] == 'default' and '' or '=' .. pair[2])
      end
      rows[i] = {
        run.run,
        run.program,
        text.when(run.started_at, now),
        tostring(run.injected),
        { tostring(run.refused), run.refused > 0 and 'AuthsomeCareful' or nil },
        { table.concat(granted, ' '), 'AuthsomeQuiet' },
      }
    end
    lines[#lines + 1] = ''
    vim.list_extend(lines, columns({ 'RUN', 'PROGRAM', 'STARTED', 'INJECTED', 'REFUSED', 'GRANTED' }, rows))
  end
  return lines
end

local OUTCOMES = {
  inject = { 'the credential is put in', 'AuthsomeGood' },
  pass = { 'it passes without a credential', 'AuthsomeCareful' },
  tunnel = { 'it is passed on unread', 'AuthsomeCareful' },
  refuse = { 'it is refused', 'AuthsomeBad' },
}

function M.explained(found)
  local outcome = OUTCOMES[found.outcome] or { found.outcome }
  local rows = { { 'request', found.request }, { 'outcome', outcome[1], outcome[2] }, { 'why', found.message } }
  local put = function(name, value)
    if value then
      rows[#rows + 1] = { name, value }
    end
  end
  put('code', found.code)
  put('connection', found.provider and ('%s (%s)'):format(found.provider, found.connection or 'default'))
  put('slot', found.slot)
  put('fix', found.fix)
  local lines = pairs_of(rows)
  if #found.routes > 0 then
    local cells = {}
    for i, route in ipairs(found.routes) do
      cells[i] = {
        ('%s (%s)'):format(route.provider, route.connection),
        table.concat(route.hosts, ' ') .. route.path,
        route.methods,
        { (route.verdict:gsub('_', ' ')), route.verdict == 'chosen' and 'AuthsomeGood' or 'AuthsomeQuiet' },
        { route.why, 'AuthsomeQuiet' },
      }
    end
    lines[#lines + 1] = ''
    vim.list_extend(lines, columns({ 'ROUTE', 'HOSTS AND PATH', 'METHODS', 'VERDICT', 'WHY' }, cells))
  end
  for _, rule in ipairs(found.rules) do
    lines[#lines + 1] = {
      ' rule ',
      { rule.rule, rule.refuses and 'AuthsomeBad' or 'AuthsomeGood' },
      { '  in ' .. rule.source, 'AuthsomeQuiet' },
    }
  end
  for _, note in ipairs(found.notes) do
    lines[#lines + 1] = { ' note: ', note }
  end
  return lines
end

return M
