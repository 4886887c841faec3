"""What the catalog does with commands, a batch at a time: load, decide, save, announce."""
