"""The keys that seal what is personal: of subjects, of the installation, and what wraps those."""
