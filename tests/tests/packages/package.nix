# Evaluates the expression with a nixpkgs in miniature: what it asks for and what it would build.
let
  lib = {
    cleanSource = path: path;
    cleanSourceWith = { src, filter }: {
      isRoot = builtins.pathExists (src + "/client/package/nix/package.nix");
      takes = filter "/x/target" "regular" && filter "/x/src" "directory";
      leaves = !(filter "/x/target" "directory");
    };
    licenses = { mit = "mit"; asl20 = "asl20"; };
    platforms.unix = "unix";
  };
  pkgs = {
    callPackage = path: more: import path (builtins.intersectAttrs (builtins.functionArgs (import path)) have // more);
  };
  have = {
    inherit lib;
    installShellFiles = "installShellFiles";
    rustPlatform.buildRustPackage = package: package // {
      cargoLock.lockFile = builtins.pathExists package.cargoLock.lockFile;
    };
  };
in
import ../../../client/package/nix { inherit pkgs; }
