"""What identity decides: who may come in, by which proof, for how long, and what she may do."""
