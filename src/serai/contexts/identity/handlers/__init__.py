"""Carries out what accounts are asked for: registering, signing in, staying in, being changed."""
