"""Work in the background: the queue's engine and its jobs."""
