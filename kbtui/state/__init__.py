"""The state store: events in, plain views out; what every front end draws from."""
