"""The commands of `reprise`, a module for each group. `service.__main__` loads the one that is asked for."""
