{
  description = "Terminal connection monitor: sockets, the processes that own them, and limits that run out";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs =
    { self, nixpkgs }:
    let
      systems = [
        "x86_64-linux"
        "aarch64-linux"
        "i686-linux"
      ];
      forEach = f: nixpkgs.lib.genAttrs systems (system: f nixpkgs.legacyPackages.${system});
    in
    {
      packages = forEach (pkgs: {
        default = pkgs.rustPlatform.buildRustPackage {
          pname = "sockscope";
          version = (nixpkgs.lib.importTOML ./Cargo.toml).package.version;
          src = self;
          cargoLock.lockFile = ./Cargo.lock;
          nativeBuildInputs = [ pkgs.installShellFiles ];
          # The tests need namespaces and the tools that they compare with: ./tests/run.
          doCheck = false;
          env.SOCKSCOPE_COMMIT = self.shortRev or "";
          postInstall = ''
            $out/bin/sockscope man > sockscope.1
            installManPage sockscope.1
            for shell in bash zsh fish; do
              $out/bin/sockscope completions $shell > sockscope.$shell
              installShellCompletion --$shell --name sockscope.$shell sockscope.$shell
            done
            install -Dm644 assets/desktop/sockscope.desktop -t $out/share/applications
            install -Dm644 assets/desktop/sockscope.metainfo.xml $out/share/metainfo/org.sockscope.sockscope.metainfo.xml
            install -Dm644 assets/package/copyright -t $out/share/licenses/sockscope
            install -Dm644 assets/desktop/sockscope.svg -t $out/share/icons/hicolor/scalable/apps
          '';
          meta.mainProgram = "sockscope";
        };
      });
    };
}
