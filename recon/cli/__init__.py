"""The `recon` command. `main` parses; each sub-command imports what it needs when it runs."""
