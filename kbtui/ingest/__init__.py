"""Jobs, the queue that runs them and the journal that remembers them."""
