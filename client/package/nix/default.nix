# `nix-build client/package/nix` with the nixpkgs of the channel, or with another: `--arg pkgs '…'`.
{ pkgs ? import <nixpkgs> { } }:

pkgs.callPackage ./package.nix { }
