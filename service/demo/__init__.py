"""A demo store: the samples of the three contracts' documents, and any amount of data around them."""
