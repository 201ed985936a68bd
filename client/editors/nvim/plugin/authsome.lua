-- `:Authsome`. Nothing else is loaded before it is used.

if vim.g.loaded_authsome then
  return
end
vim.g.loaded_authsome = 1

vim.api.nvim_create_user_command('Authsome', function(call)
  require('authsome').command(call.args)
end, {
  nargs = '*',
  desc = 'authsome: login, list, run, terminal, log, explain, status, unlock',
  complete = function(lead, line)
    return require('authsome').complete(lead, line)
  end,
})
