"""Who may ask: tokens, and the sessions of carts."""
