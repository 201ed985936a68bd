# Evaluates the formula with a Homebrew in miniature: every word of its language that the formula uses, and
# nothing else, so that a misspelt one fails. Prints what it declares and what `install` would do.
#
#   ruby formula.rb FORMULA

require "json"

class Path
  def initialize(text) = @text = text
  def /(other) = Path.new("#{@text}/#{other}")
  def to_s = @text
  def install(files) = Formula.note("install", @text, *files.map(&:to_s))
end

class Formula
  DECLARED = {}
  DONE = []

  class << self
    %w[desc homepage url sha256 license].each do |word|
      define_method(word) { |value| DECLARED[word] = value }
    end
    def head(address, branch:) = DECLARED["head"] = [address, branch]
    def depends_on(what) = DECLARED["depends_on"] = what
    def test(&block) = DECLARED["test"] = block.class.name
    def note(*words) = DONE << words
  end

  def bin = Path.new("BIN")
  def man1 = Path.new("MAN1")
  def man5 = Path.new("MAN5")
  def man8 = Path.new("MAN8")
  def std_cargo_args(path:) = ["--locked", "--root", "PREFIX", "--path", path]
  def system(*words) = Formula.note(*words.map(&:to_s))
  def mkdir(folder) = Formula.note("mkdir", folder)
  def generate_completions_from_executable(*words) = Formula.note("completions", *words.map(&:to_s))
end

load ARGV.fetch(0)
Authsome.new.install
puts JSON.pretty_generate({ declared: Formula::DECLARED, done: Formula::DONE })
