-- `:Authsome`: its subcommands, their arguments, their completion.

local list = require('authsome.list')
local log = require('authsome.log')
local login = require('authsome.login')
local panel = require('authsome.panel')
local run = require('authsome.run')
local show = require('authsome.show')
local text = require('authsome.text')

local M = {}

-- How long completion may wait for the daemon, in milliseconds: a key was pressed.
local COMPLETE_MS = 400

local METHODS = { 'GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS' }

-- Options of `login`, as the command line client has them, and what they become.
local OPTIONS = {
  ['--connection'] = 'connection',
  ['--region'] = 'region',
  ['--flow'] = 'flow',
  ['--scopes'] = 'scopes',
  ['--base-url'] = 'base_url',
  ['--client-id'] = 'client_id',
}
local FLAGS = { ['--force'] = { 'force', true }, ['--no-browser'] = { 'browser', false } }

-- Provider and options of the words behind `login`; or nil and what is wrong with them. Pure.
function M.login_words(words)
  local provider, options, i = nil, {}, 1
  while i <= #words do
    local word, value = words[i]:match('^(%-%-[%w-]+)=(.*)$')
    word = word or words[i]
    if FLAGS[word] then
      options[FLAGS[word][1]] = FLAGS[word][2]
    elseif OPTIONS[word] then
      if not value then
        i = i + 1
        value = words[i]
      end
      if not value or value == '' then
        return nil, ('`%s` needs a value'):format(word)
      end
      options[OPTIONS[word]] = value
    elseif word:sub(1, 1) == '-' then
      return nil, ('login has no option `%s`; a secret is never an argument, it is asked for'):format(word)
    elseif provider then
      return nil, ('one provider at a time, not also `%s`'):format(word)
    else
      provider = word
    end
    i = i + 1
  end
  if options.scopes then
    options.scopes = vim.split(options.scopes, ',', { trimempty = true })
  end
  if options.flow then
    options.flow = options.flow:gsub('-', '_')
  end
  return provider or '', options
end

-- Lets a person choose among all providers.
local function choose(client, options)
  client:request('providers', function(failure, _, found)
    if failure then
      return panel.fail(failure)
    end
    local open = vim.tbl_filter(function(one)
      return not one.not_yet
    end, found.providers)
    vim.ui.select(open, {
      prompt = 'Log in to',
      kind = 'authsome.provider',
      format_item = function(one)
        local words = text.printable(one.display_name)
        if words:lower() ~= one.provider then
          words = ('%s (%s)'):format(words, one.provider)
        end
        return one.connections > 0 and words .. ', connected' or words
      end,
    }, function(one)
      if one then
        login.begin(client, one.provider, options)
      end
    end)
  end)
end

-- Names of providers for completion: from the last answer, which is asked for anew each time.
local names = {}

local function providers(client)
  local done = false
  client:request('providers', function(failure, _, found)
    done = true
    if not failure then
      names = vim.tbl_map(function(one)
        return one.provider
      end, found.providers)
    end
  end, { deadline = COMPLETE_MS, start = false })
  if #names == 0 then
    vim.wait(COMPLETE_MS, function()
      return done
    end, 10)
  end
  return names
end

-- name → { run(context, words, line), complete(context, words) }; `line` is what was written behind the name.
local COMMANDS = {
  login = {
    run = function(context, words)
      local provider, options = M.login_words(words)
      if not provider then
        return panel.say(options, vim.log.levels.ERROR)
      elseif provider == '' then
        return choose(context.client, options)
      end
      login.begin(context.client, provider, options)
    end,
    complete = function(context)
      local all = vim.list_extend({}, providers(context.client))
      vim.list_extend(all, vim.tbl_keys(OPTIONS))
      return vim.list_extend(all, vim.tbl_keys(FLAGS))
    end,
  },
  list = {
    run = function(context)
      list.open(context.client, context.state)
    end,
  },
  run = {
    run = function(_, words, line)
      local _, command = run.split(line)
      if #words == 0 or command == '' then
        return panel.say('run what? `:Authsome run [options --] command`; a shell is `:Authsome terminal`', vim.log.levels.ERROR)
      end
      run.open(line)
    end,
    complete = function(_, words)
      return vim.fn.getcompletion(words[#words] or '', #words <= 1 and 'shellcmd' or 'file')
    end,
  },
  terminal = {
    run = function(_, words, line)
      local _, command = run.split(line)
      if command ~= '' then
        return panel.say('terminal takes options of `authsome run` only; a command is `:Authsome run`', vim.log.levels.ERROR)
      end
      run.open(#words > 0 and line .. ' -- ' or '')
    end,
  },
  log = {
    run = function(context, words)
      log.open(context.client, context.state, words[1])
    end,
    complete = function(context)
      return providers(context.client)
    end,
  },
  explain = {
    run = function(context, words)
      local method, url = words[1], words[2]
      if not url and method and method:match('^%a+://') then
        method, url = 'GET', method
      end
      if not url or #words > 2 then
        return panel.say('explain what? `:Authsome explain [METHOD] URL`', vim.log.levels.ERROR)
      end
      show.explain(context.client, method:upper(), url)
    end,
    complete = function()
      return METHODS
    end,
  },
  status = {
    run = function(context)
      show.status(context.client)
    end,
  },
  unlock = {
    run = function(context)
      show.unlock_or_choose(context.client)
    end,
  },
}

local function known()
  local all = vim.tbl_keys(COMMANDS)
  table.sort(all)
  return all
end

-- Carries out `:Authsome {line}`.
function M.run(context, line)
  local name, rest = vim.trim(line):match('^(%S*)%s*(.*)$')
  local command = COMMANDS[name]
  if not command then
    return panel.say(
      (name == '' and 'which of these? ' or ('there is no `:Authsome %s`; there are '):format(name)) .. table.concat(known(), ', '),
      vim.log.levels.ERROR
    )
  end
  command.run(context, vim.split(rest, '%s+', { trimempty = true }), rest)
end

-- What could be written at the end of `line`.
function M.complete(context, lead, line)
  local before = line:match('Authsome%s+(.*)$') or ''
  local words = vim.split(before, '%s+', { trimempty = true })
  if lead == '' then
    words[#words + 1] = ''
  end
  local all
  if #words <= 1 then
    all = known()
  else
    local command = COMMANDS[words[1]]
    all = command and command.complete and command.complete(context, vim.list_slice(words, 2)) or {}
  end
  local fitting = vim.tbl_filter(function(one)
    return one:sub(1, #lead) == lead
  end, all)
  table.sort(fitting)
  return fitting
end

return M
