# Homebrew formula. The two words between @ signs stand for what only a release has: the address of its
# archive and that archive's SHA-256. `client/package/release.sh` fills them in and writes the result to
# target/package/authsome.rb; this file as it is installs nothing but `--HEAD`.
class Authsome < Formula
  desc "Lets programs call APIs without holding the key"
  homepage "https://github.com/authsome/authsome"
  url "@URL@"
  sha256 "@SHA256@"
  license any_of: ["MIT", "Apache-2.0"]
  head "https://github.com/authsome/authsome.git", branch: "main"

  depends_on "rust" => :build

  def install
    # the client looks for the daemon in its own folder
    system "cargo", "install", *std_cargo_args(path: "client")
    system "cargo", "install", *std_cargo_args(path: "daemon")

    generate_completions_from_executable(bin/"authsome", "completions")
    system bin/"authsome", "man", "man"
    man1.install Dir["man/*.1"]
    man5.install Dir["man/*.5"]
    man8.install Dir["man/*.8"]
  end

  test do
    ENV["AUTHSOME_HOME"] = testpath/"home"
    assert_match version.to_s, shell_output("#{bin}/authsome --version")
    assert_match version.to_s, shell_output("#{bin}/authsomed --version")
    # starts the daemon by itself, and reaches it
    begin
      assert_match "connections", shell_output("#{bin}/authsome status")
    ensure
      system bin/"authsome", "daemon", "stop"
    end
  end
end
