"""The composition roots: a role is a process that runs some of the house, or all of it."""
