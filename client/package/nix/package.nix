# Nix expression, for `callPackage`. It builds the tree that it lies in, so there is no address and no
# hash to fill in: the crates' checksums are those of Cargo.lock.
{ lib
, rustPlatform
, installShellFiles
}:

let
  root = ../../..;
  manifest = (builtins.fromTOML (builtins.readFile (root + "/Cargo.toml"))).workspace.package;
in
rustPlatform.buildRustPackage {
  pname = "authsome";
  inherit (manifest) version;

  # the build's own output, the repository and editors' leftovers are no sources
  src = lib.cleanSourceWith {
    src = lib.cleanSource root;
    filter = path: type: !(type == "directory" && builtins.elem (baseNameOf path) [ "target" "node_modules" ]);
  };

  cargoLock.lockFile = root + "/Cargo.lock";
  cargoBuildFlags = [ "-p" "authsome" "-p" "authsomed" ];

  # unit tests only: the end-to-end tests want a message bus, a keyring and a second user
  cargoTestFlags = [ "-p" "authsome-proto" "-p" "authsome" "-p" "authsomed" "--lib" "--bins" ];

  nativeBuildInputs = [ installShellFiles ];

  postInstall = ''
    for shell in bash zsh fish; do
      $out/bin/authsome completions $shell > authsome.$shell
    done
    installShellCompletion authsome.{bash,zsh,fish}
    $out/bin/authsome man man
    installManPage man/*
  '';

  meta = {
    description = "Lets programs call APIs without holding the key";
    homepage = manifest.repository;
    license = with lib.licenses; [ mit asl20 ];
    mainProgram = "authsome";
    platforms = lib.platforms.unix;
  };
}
