-- Configuration of the Neovims that tests drive: the plugin, as a person would have it.
local here = vim.fn.fnamemodify(debug.getinfo(1, 'S').source:sub(2), ':p:h:h')
vim.opt.runtimepath:prepend(here)
vim.o.laststatus = 2
vim.o.statusline = "%f%=%{%v:lua.require'authsome'.statusline()%}"
vim.o.shortmess = vim.o.shortmess .. 'I'
vim.o.more = false
-- a message that does not fit is a question, and nobody is there to press Enter
vim.o.cmdheight = 8
vim.o.showcmd = false
