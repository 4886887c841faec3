"""The `serai` command: each file is one command or one group of them."""
