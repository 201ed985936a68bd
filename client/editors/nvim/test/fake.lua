-- A daemon in miniature, in this process: it greets, and answers as a test says.
--
-- Each request is held against the golden file of its name, so that the plugin is seen to send exactly
-- the fields that the protocol lists.

local frame = require('authsome.frame')

local uv = vim.uv or vim.loop

local M = {}

local here = vim.fn.fnamemodify(debug.getinfo(1, 'S').source:sub(2), ':p:h')
M.GOLDEN = vim.fn.fnamemodify(here .. '/../../../../proto/golden/v1', ':p')

local function golden(name)
  local file = assert(io.open(('%s/%s.json'):format(M.GOLDEN, name)), 'no golden file ' .. name)
  local value = vim.json.decode(file:read('*a'))
  file:close()
  return value
end
M.golden = golden

local function names(fields)
  local all = type(fields) == 'table' and vim.tbl_keys(fields) or {}
  table.sort(all)
  return all
end

-- What is wrong with a request's fields, by the golden file; nil if nothing is.
local function differs(name, request)
  local file = name
  if name == 'login_answer' then
    file = 'login_answer_' .. next(request.login_answer.answer)
  end
  local wanted = golden('request_' .. file).request.request
  if type(wanted) ~= type(request) then
    return ('%s: %s'):format(name, vim.inspect(request))
  elseif type(wanted) == 'table' and not vim.deep_equal(names(wanted[name]), names(request[name])) then
    return ('%s: has %s'):format(name, table.concat(names(request[name]), ' '))
  end
end

-- Listens in a home of its own. `handlers`: name → function(reply, fields); `reply` has answer(value),
-- fail(error), event(value), close(). `options.hello`: the greeting's bytes.
function M.start(handlers, options)
  options = options or {}
  local folder = vim.fn.tempname()
  vim.fn.mkdir(folder, 'p', 448) -- 0700
  local fake = { home = folder, socket = folder .. '/s', requests = {}, wrong = {}, clients = {}, handlers = handlers }
  local note = assert(io.open(folder .. '/daemon.lock', 'w'))
  note:write(('pid %d\nsocket %s\n'):format(uv.os_getpid(), fake.socket))
  note:close()

  function fake.said(name)
    for _, one in ipairs(fake.requests) do
      if one.name == name then
        return one.fields or true
      end
    end
  end

  local function serve(client, payload)
    local value = vim.json.decode(payload)
    if value.cancel then
      fake.requests[#fake.requests + 1] = { name = 'cancel', fields = value.cancel }
      return
    end
    local id, request = value.request.id, value.request.request
    local name = type(request) == 'string' and request or next(request)
    local fields = type(request) == 'table' and request[name] or nil
    fake.requests[#fake.requests + 1] = { name = name, fields = fields }
    fake.wrong[#fake.wrong + 1] = differs(name, request)
    local function send(message)
      if not client:is_closing() then
        client:write(frame.encode(vim.json.encode(message)))
      end
    end
    local reply = {
      answer = function(answer)
        send({ answer = { id = id, result = { Ok = answer } } })
      end,
      fail = function(failure)
        send({ answer = { id = id, result = { Err = failure } } })
      end,
      event = function(event)
        send({ event = { id = id, event = event } })
      end,
      raw = function(bytes)
        client:write(bytes)
      end,
      close = function()
        client:close()
      end,
    }
    local handler = fake.handlers[name]
    if handler then
      handler(reply, fields)
    end
  end

  function fake.listen()
    fake.server = uv.new_pipe(false)
    assert(fake.server:bind(fake.socket))
    fake.server:listen(16, function()
      local client, reader, greeted = uv.new_pipe(false), frame.reader(), false
      fake.server:accept(client)
      fake.clients[#fake.clients + 1] = client
      client:read_start(function(_, bytes)
        if not bytes then
          return client:is_closing() or client:close()
        end
        reader:push(bytes)
        for payload in
          function()
            return (reader:next())
          end
        do
          if greeted then
            -- at once: a test that waits for its Neovim runs nothing that was put off
            serve(client, payload)
          else
            greeted = true
            fake.greeting = payload
            client:write(options.hello or (frame.encode('AUTHSOME\0\1\0\1\2\0060.1.0x')))
          end
        end
      end)
    end)
  end

  -- Hangs up on everybody and listens no more, as a daemon that is killed.
  function fake.die()
    for _, client in ipairs(fake.clients) do
      if not client:is_closing() then
        client:close()
      end
    end
    fake.clients = {}
    fake.server:close()
    os.remove(fake.socket)
  end

  function fake.stop()
    fake.die()
    vim.fn.delete(folder, 'rf')
    if #fake.wrong > 0 then
      error('requests that are not as the protocol lists them:\n' .. table.concat(fake.wrong, '\n'))
    end
  end

  fake.listen()
  return fake
end

return M
