"""What the commands of `reprise` do; `service.__main__` declares them."""
